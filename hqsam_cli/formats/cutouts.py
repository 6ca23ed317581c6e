"""Objects cut out of their photos: `cutouts/<path of the image>/<annotation id>.png`, and `crops/` likewise."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..records import Instance
from .png import PngWriter
from .run_records import ImageResult, RunRecords

Color = tuple[int, int, int]  # RGB
REACH = 64  # a soft border is no wider than the longer side of the photo by this


class PhotoWriter(PngWriter):
    """A picture of a part of the photo for each mask.

    Args:
        background: what to put around the object, or None for nothing.
    """

    options = ()

    def __init__(self, output: Path, run: RunRecords, *, background: Color | None = None) -> None:
        super().__init__(output, run)
        self.background = background


class CutoutWriter(PhotoWriter):
    """The photo in its size, transparent around the object; opaque where there is a background color."""

    folder = "cutouts"

    def pixels(self, result: ImageResult, instance: Instance) -> np.ndarray:
        """See `PngWriter`."""
        assert result.pixels is not None
        alpha = object_alpha(instance)
        if self.background is None:
            return np.dstack([result.pixels[..., ::-1], alpha])
        return on_color(result.pixels, alpha, self.background)[..., ::-1]


class CropWriter(PhotoWriter):
    """The photo within the tight box of each mask, all of it, or on a background color.

    Of an empty mask it is the box that was asked, else the photo.
    """

    folder = "crops"

    def pixels(self, result: ImageResult, instance: Instance) -> np.ndarray:
        """See `PngWriter`."""
        assert result.pixels is not None
        x0, y0, x1, y1 = instance.prompt.box or (0, 0, *result.size)
        if instance.mask.bits.any():
            x0, y0, w, h = instance.mask.tight_box()
            x1, y1 = x0 + w, y0 + h
        box = slice(int(y0), int(np.ceil(y1))), slice(int(x0), int(np.ceil(x1)))
        photo = result.pixels[box]
        if self.background is not None:
            photo = on_color(photo, object_alpha(instance)[box], self.background)
        return photo[..., ::-1]


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
