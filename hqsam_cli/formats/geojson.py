"""GeoJSON (RFC 7946): one file per raster, a layer for GIS programs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..io.georeference import Georeference, Polygons, oriented, square_meters
from ..records import Annotation, Category, ImageRecord
from .coco import RunRecords, encode
from .label_writer import LabelWriter
from .segmentation import decode_crop
from .values import JsonObject, some_of

log = logging.getLogger(__name__)


class GeoJsonWriter(LabelWriter):
    """`geojson/<path of the image without its suffix>.geojson`: a feature per mask that is not empty.

    Outlines and holes follow the borders of pixels. Coordinates are longitude and latitude, as RFC 7946 requires; in
    an image without a coordinate reference system, those of its transform, or pixels from its upper left corner.
    """

    name = "geojson"
    suffix = ".geojson"

    def __init__(self, output: Path | str, categories: list[Category]) -> None:
        super().__init__(output, categories)
        self._unlocated: dict[str, None] = {}  # images without a coordinate reference system, in order

    def label(self, record: ImageRecord, place: str) -> bytes:
        """See `LabelWriter`."""
        assert record.size is not None
        georeference = Georeference.read(record.path)
        found = [(own, _outlines(own, record.size, georeference.transform)) for own in record.annotations]
        annotations, shapes = [own for own, shape in found if shape], [shape for _, shape in found if shape]
        areas: Sequence[float | None] = [None] * len(shapes)
        if georeference.crs is None:
            self._unlocated[record.file_name] = None
        else:
            shapes = georeference.to_wgs84(shapes)
            areas = square_meters(shapes)
        features = ",\n".join(encode(self._feature(*own)) for own in zip(annotations, shapes, areas, strict=True))
        return f'{{"type":"FeatureCollection","features":[\n{features}\n]}}\n'.encode("ascii")

    def close(self, run: RunRecords) -> None:
        """See `LabelWriter`."""
        super().close(run)
        if names := list(self._unlocated):
            what = "images without a coordinate reference system, whose GeoJSON is in their own coordinates or pixels"
            log.warning("%s: %s (%s)", what, len(names), some_of(names))

    def _feature(self, annotation: Annotation, shape: Polygons, area: float | None) -> JsonObject:
        polygons = [oriented(polygon) for polygon in shape]
        properties: JsonObject = {
            "id": annotation["id"],
            "category": self.names[annotation["category_id"]],
            "score": annotation["score"],
        }
        if area is not None:
            properties["area_m2"] = round(area, 3)
        is_one = len(polygons) == 1
        geometry = {
            "type": "Polygon" if is_one else "MultiPolygon",
            "coordinates": polygons[0] if is_one else polygons,
        }
        return {"type": "Feature", "properties": properties, "geometry": geometry}


def _outlines(annotation: Annotation, size: tuple[int, int], transform: Any) -> Polygons:
    """Outlines and holes of the 4-connected parts of a mask, in the coordinates of a transform of its pixels."""
    from rasterio.features import shapes
    from rasterio.windows import Window
    from rasterio.windows import transform as transform_of

    mask = decode_crop(annotation["segmentation"], *size)
    if not mask.bits.size:
        return []
    rows, columns = mask.bits.shape
    placed = transform_of(Window(mask.x, mask.y, columns, rows), transform)
    found = shapes(mask.bits.astype(np.uint8), mask=mask.bits, transform=placed)
    return [shape["coordinates"] for shape, _ in found]
