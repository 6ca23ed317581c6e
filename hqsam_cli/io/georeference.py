"""Georeferences of rasters, with rasterio: from pixels to longitudes and latitudes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..errors import HqsamError, ImageError
from ..records import GeoKeys
from .files import InputFile
from .rasters import is_readable_tiff, opened

WGS84, EQUAL_AREA = "EPSG:4326", "EPSG:6933"
DECIMALS = 9  # of degrees: a tenth of a millimeter
Ring: TypeAlias = list[tuple[float, float]]  # the first point is repeated at the end
Polygons: TypeAlias = list[list[Ring]]  # of each, the outline and the holes: `coordinates` of a MultiPolygon


class Georeference(NamedTuple):
    """From the pixels of an image to the coordinates of a map.

    Attributes:
        transform: `affine.Affine` from pixels, x to the right and y down from the upper left corner, to coordinates.
        crs: `rasterio.crs.CRS` of the coordinates, None if unknown.
    """

    transform: Any
    crs: Any

    @classmethod
    def read(cls, path: str) -> Georeference:
        """Read that of an image, of its GeoTIFF tags or of files beside it; without one, coordinates are pixels.

        Raises:
            ImageError: there is no such file.
        """
        import rasterio
        from rasterio.errors import RasterioIOError

        if not os.path.isfile(path):
            raise ImageError("no such file", file=path, remedy="pass the folder of its image as `images`")
        try:
            with opened(path) as source:
                return cls(source.transform, source.crs)
        except RasterioIOError:  # a format that GDAL does not read
            return cls(rasterio.Affine.identity(), None)

    @property
    def keys(self) -> GeoKeys:
        """The georeference as keys of the entry of an image; without any if coordinates are pixels."""
        keys: GeoKeys = {} if self.crs is None else {"crs": self.crs.to_string()}
        return {**keys, "transform": list(self.transform[:6])} if keys or not self.transform.is_identity else keys

    def to_pixels(self, points: np.ndarray, *, crs: str = WGS84) -> np.ndarray:
        """Pixels (n, 2) of coordinates (n, 2); without a `crs` of the image, they are those of its transform.

        Raises:
            HqsamError: GDAL does not know the coordinate reference system.
        """
        from rasterio.errors import CRSError
        from rasterio.warp import transform

        x, y = points.T
        if self.crs is not None:
            try:
                x, y = np.array(transform(crs, self.crs, x, y))
            except CRSError:
                raise HqsamError(f"unknown coordinate reference system {crs}", remedy=f"use {WGS84}") from None
        inverse = ~self.transform
        columns, rows = inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f
        return np.stack([columns, rows], axis=1)

    def to_wgs84(self, shapes: Sequence[Polygons]) -> list[Polygons]:
        """Longitudes and latitudes of polygons in map coordinates, cut at the antimeridian; requires `crs`."""
        return _transformed(self.crs, WGS84, shapes, DECIMALS)


def geotiff_keys(file: InputFile) -> GeoKeys:
    """See `Georeference.keys`; of a local TIFF, if rasterio is installed, else none."""
    return Georeference.read(file.path).keys if is_readable_tiff(file) else {}


def square_meters(shapes: Sequence[Polygons]) -> list[float]:
    """Areas on the ellipsoid of polygons in longitude and latitude."""
    flat = _transformed(WGS84, EQUAL_AREA, shapes)
    return [sum(signed_area(ring) for polygon in own for ring in oriented(polygon)) for own in flat]


def oriented(polygon: list[Ring]) -> list[Ring]:
    """A polygon with its outline counterclockwise, in coordinates with y up, and its holes clockwise."""
    return [ring if (signed_area(ring) > 0) == (n == 0) else ring[::-1] for n, ring in enumerate(polygon)]


def signed_area(ring: Ring) -> float:
    """The area inside a ring; negative if it is clockwise, in coordinates with y up."""
    x0, y0 = ring[0]  # subtracted, since products of large coordinates lose digits
    return sum((x - x0) * (y1 - y0) - (x1 - x0) * (y - y0) for (x, y), (x1, y1) in pairwise(ring)) / 2


def _transformed(source: Any, target: str, shapes: Sequence[Polygons], precision: int = -1) -> list[Polygons]:
    from rasterio.warp import transform_geom

    given = [{"type": "MultiPolygon", "coordinates": own} for own in shapes]
    made = transform_geom(source, target, given, precision=precision) if given else []
    return [own["coordinates"] if own["type"] == "MultiPolygon" else [own["coordinates"]] for own in made]
