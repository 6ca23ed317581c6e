"""TIFFs that are too large to be decoded as a whole, read in windows by rasterio."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..errors import ImageError, first_line
from .file_types import TIFF_SUFFIXES
from .files import InputFile, RemoteFile
from .images import TURNS, read_header, read_oriented
from .tiff import eight_bits

MAX_PIXELS = 2**31  # of a run in an RLE
CACHE = 2**27  # bytes of decoded blocks that GDAL keeps
LARGEST_READ = 2**24  # pixels of a window that is read as it is
LARGEST_BLOCK = 2**28  # bytes of a decoded strip or tile


@dataclass(frozen=True, slots=True)
class Raster:
    """An image in a file, or a window of one, which `raster[y0:y1, x0:x1]` is too; nothing is read yet.

    Attributes:
        path: of the TIFF.
        shape: (H, W, 3).
        bands: its bands that are read: gray, RGB or RGBA.
        depth: significant bits of a sample.
        left, top: its upper left corner in the file.
    """

    path: str
    shape: tuple[int, int, int]
    bands: tuple[int, ...]
    depth: int
    left: int = 0
    top: int = 0

    def __getitem__(self, window: tuple[slice, slice]) -> Raster:
        (top, bottom, _), (left, right, _) = (own.indices(side) for own, side in zip(window, self.shape, strict=False))
        return replace(self, shape=(bottom - top, right - left, 3), left=self.left + left, top=self.top + top)

    def reduced(self, height: int, width: int) -> np.ndarray:
        """Read it, uint8 RGB (h, w, 3); of more than `LARGEST_READ` pixels (height, width), bilinear and anti-aliased.

        These are read from overviews, if the file has them, else from all its pixels.
        """
        rows, columns, _ = self.shape
        return self._read(height, width) if rows * columns > LARGEST_READ else self._read(rows, columns)

    def _read(self, height: int, width: int) -> np.ndarray:
        import rasterio
        from rasterio.enums import Resampling
        from rasterio.errors import RasterioError

        rows, columns, _ = self.shape
        window = (self.top, self.top + rows), (self.left, self.left + columns)
        size = len(self.bands), height, width
        try:
            # Opened anew: a data set must not be shared by threads. GDAL keeps 5 % of the memory by default.
            with rasterio.Env(GDAL_CACHEMAX=CACHE), opened(self.path) as source:
                values = source.read(self.bands, window=window, out_shape=size, resampling=Resampling.bilinear)
        except RasterioError as error:
            remedy = "download it again"
            raise ImageError("broken image", file=self.path, detail=first_line(error), remedy=remedy) from None
        if values.dtype != np.uint8:
            values = eight_bits(values, self.path, self.depth)
        if len(values) == 1:
            values = values.repeat(3, axis=0)
        elif len(values) == 4:  # on white, as photos
            alpha = values[3].astype(np.uint16)
            values = ((values[:3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
        return np.ascontiguousarray(values.transpose(1, 2, 0))


def read_or_open(file: InputFile, *, exif: str, max_pixels: int) -> tuple[np.ndarray | Raster, int]:
    """Read a photo, see `read_oriented`; or open a local TIFF of more than `max_pixels`, if rasterio is installed.

    Raises:
        ImageError: as `read_image`; or the TIFF cannot be read in windows.
    """
    raster = _open_raster(file, exif, max_pixels)
    return read_oriented(file, exif=exif, max_pixels=max_pixels) if raster is None else (raster, 1)


def _open_raster(file: InputFile, exif: str, max_pixels: int) -> Raster | None:
    """A local TIFF of more than `max_pixels`; None for other files."""
    path = file.path
    if not is_readable_tiff(file):
        return None
    header = read_header(file)
    if header is not None and header.width * header.height <= max_pixels:
        return None
    from rasterio.enums import ColorInterp
    from rasterio.errors import RasterioIOError

    try:
        with opened(path) as source:
            size, kinds, types = (source.width, source.height), source.colorinterp, source.dtypes
            rows, columns = source.block_shapes[0]
            depth = int(source.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 16))
    except RasterioIOError:
        return None
    width, height = size
    if width * height <= max_pixels:
        return None
    detail = f"{width} x {height} pixels, {len(types)} bands of {types[0]}"

    def error(reason: str, remedy: str) -> ImageError:
        return ImageError(reason, file=path, detail=detail, remedy=remedy)

    if width * height >= MAX_PIXELS:
        raise error("too large", "cut it into tiles")
    is_gray, is_color = kinds == (ColorInterp.gray,), kinds[0] == ColorInterp.red and len(kinds) in (3, 4)
    if not (is_gray or is_color) or types[0] not in ("uint8", "uint16"):
        raise error("an unsupported kind of TIFF", "convert it to 8-bit RGB")
    if rows * columns * len(types) * np.dtype(types[0]).itemsize > LARGEST_BLOCK:
        raise error("strips too large to be read in windows", "rewrite it: gdal_translate -co TILED=YES")
    if exif == "apply" and header is not None and header.orientation in TURNS:
        raise error("too large to be turned by its EXIF orientation", "pass `exif` ignore")
    bands = {1: (1,), 3: (1, 2, 3), 4: (1, 2, 3, 4) if kinds[-1] == ColorInterp.alpha else (1, 2, 3)}
    return Raster(path, (height, width, 3), bands[len(kinds)], depth)


def is_readable_tiff(file: InputFile) -> bool:
    """Whether a file is a local TIFF, and rasterio is installed."""
    is_tiff = not isinstance(file, RemoteFile) and file.path.lower().endswith(TIFF_SUFFIXES)
    return is_tiff and find_spec("rasterio") is not None


def opened(path: str) -> Any:
    """The data set of an image file; without a warning if it is not georeferenced, as photos are."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path)
