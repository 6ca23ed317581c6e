"""Small copies of the photos of a run, for pages that show many, and for those whose photos are elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ..errors import ImageError
from ..formats.picture_writer import PictureWriter
from ..formats.run_records import ImageResult
from ..io.atomic import write_file
from ..io.images import read_image
from .pictures import write_picture

LONGEST_SIDE = 480  # pixels
QUALITY = 80  # of JPEG


class ThumbnailWriter(PictureWriter):
    """`thumbnails/<path of the image>.jpg`, made while the photos are in memory anyway."""

    folder = "thumbnails"
    suffix = ".jpg"

    def write(self, result: ImageResult) -> None:
        """See `Writer`."""
        assert result.pixels is not None
        write_thumbnail(self.place(result.file_name), result.pixels, result.files.put)


def thumbnail_of_run(run: Path, file_name: str) -> Path | None:
    """The thumbnail that a run made of an image, if it made one."""
    path = run / ThumbnailWriter.folder / f"{file_name}{ThumbnailWriter.suffix}"
    return path if path.is_file() else None


def write_thumbnail(path: Path, pixels: np.ndarray, put: Callable[[Path, bytes], None] = write_file) -> None:
    """Write a photo, uint8 RGB (H, W, 3), made small."""
    scale = min(1.0, LONGEST_SIDE / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    write_picture(path, cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), QUALITY, put)


def read_thumbnail(path: Path, size: tuple[int, int]) -> np.ndarray | None:
    """A thumbnail as large as its photo, (width, height), was: uint8 RGB (H, W, 3); None where it is broken."""
    try:
        small = read_image(str(path), max_pixels=LONGEST_SIDE**2)
    except ImageError:
        return None
    return cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)
