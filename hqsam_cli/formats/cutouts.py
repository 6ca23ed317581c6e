"""Objects cut out of their photos: `cutouts/<path of the image>/<annotation id>.png`, and `crops/` likewise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ..records import Category, Instance
from .image_writer import ImageWriter
from .png import png_bytes
from .run_records import ImageResult

Color = tuple[int, int, int]  # RGB
REACH = 64  # a soft border is no wider than the longer side of the photo by this


class PhotoWriter(ImageWriter):
    """A picture of a part of the photo for each mask.

    Args:
        background: color around the object, or None for none.
    """

    def __init__(self, output: Path | str, categories: list[Category], *, background: Color | None = None) -> None:
        super().__init__(output, categories)
        self.background = background

    def pictures(self, result: ImageResult) -> Iterator[bytes]:
        """See `ImageWriter`."""
        assert result.pixels is not None
        for instance in result.instances:
            yield png_bytes(self.part(result.pixels, instance))

    def part(self, photo: np.ndarray, instance: Instance) -> np.ndarray:
        """The picture of a mask, uint8 in OpenCV's order of colors, of a photo, uint8 RGB (H, W, 3)."""
        raise NotImplementedError


class CutoutWriter(PhotoWriter):
    """The photo in its size, transparent around the object; opaque where there is a background color."""

    folder = "cutouts"

    def part(self, photo: np.ndarray, instance: Instance) -> np.ndarray:
        """See `PhotoWriter`."""
        alpha = object_alpha(instance)
        if self.background is None:
            return np.dstack([photo[..., ::-1], alpha])
        return on_color(photo, alpha, self.background)[..., ::-1]


class CropWriter(PhotoWriter):
    """The photo within the tight box of each mask, all of it, or on a background color.

    Of an empty mask it is the box that was asked, else the photo.
    """

    folder = "crops"

    def part(self, photo: np.ndarray, instance: Instance) -> np.ndarray:
        """See `PhotoWriter`."""
        x0, y0, x1, y1 = instance.prompt.box or (0, 0, *photo.shape[1::-1])
        if instance.mask.bits.any():
            x0, y0, w, h = instance.mask.tight_box()
            x1, y1 = x0 + w, y0 + h
        box = slice(int(y0), int(np.ceil(y1))), slice(int(x0), int(np.ceil(x1)))
        part = photo[box]
        if self.background is not None:
            part = on_color(part, object_alpha(instance)[box], self.background)
        return part[..., ::-1]


def object_alpha(instance: Instance) -> np.ndarray:
    """How opaque each pixel of an object is, uint8 (H, W): 0 or 255 by its mask, or as sure as the model is of it.

    Where the mask was cleaned it has the last word: a pixel of it is at least half opaque, and any other is not, nor is
    what lies far from it.
    """
    mask = instance.mask.full()
    opaque = mask.astype(np.uint8) * 255
    crop = instance.probabilities
    if crop is None:
        return opaque
    soft = np.zeros_like(opaque)
    rows, columns = crop.values.shape
    soft[crop.y : crop.y + rows, crop.x : crop.x + columns] = crop.values
    reach = max(max(mask.shape) // REACH, 1)
    near = np.asarray(cv2.dilate(opaque, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)))
    inside = np.where(soft < 128, opaque, soft)
    return np.where(mask, inside, np.minimum(soft, 127) * (near > 0)).astype(np.uint8)


def on_color(photo: np.ndarray, alpha: np.ndarray, color: Color) -> np.ndarray:
    """A photo, RGB uint8 (H, W, 3), on a color by its alpha, uint8 (H, W)."""
    share = alpha[..., None].astype(np.float32) / 255
    return np.rint(photo * share + np.array(color, np.float32) * (1 - share)).astype(np.uint8)
