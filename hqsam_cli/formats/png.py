"""Masks as PNG files: `masks/<path of the image>/<annotation id>.png`, one bit per pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from ..errors import ImageError
from .image_writer import ImageWriter
from .run_records import ImageResult


class PngWriter(ImageWriter):
    """One PNG per mask."""

    folder = "masks"

    def pictures(self, result: ImageResult) -> Iterator[bytes]:
        """See `ImageWriter`."""
        for instance in result.instances:
            yield png_bytes(instance.mask.full().astype(np.uint8) * 255, (cv2.IMWRITE_PNG_BILEVEL, 1))


def png_bytes(pixels: np.ndarray, options: Sequence[int] = ()) -> bytes:
    """Encode pixels, in OpenCV's channel order, as PNG."""
    done, encoded = cv2.imencode(".png", pixels, options)
    if not done:
        height, width = pixels.shape[:2]
        raise ImageError(f"OpenCV cannot write {width} x {height} pixels as PNG", remedy="use `format` coco")
    return encoded.tobytes()
