"""Cut-outs and crops of objects: `cutouts/<path of the image>/<annotation id>.png`, and `crops/` likewise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ..records import Category, Instance
from .image_writer import ImageResult, ImageWriter, png_bytes

Color = tuple[int, int, int]  # RGB
REACH = 64  # a soft border is at most the longer side of the photo divided by this


class PhotoWriter(ImageWriter):
    """One picture per mask, cut from the photo.

    Args:
        background: color around the object, or None.
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
        """The picture of a mask, uint8 BGR or BGRA, from a photo, uint8 RGB (H, W, 3)."""
        raise NotImplementedError


class CutoutWriter(PhotoWriter):
    """The photo at full size, transparent around the object; opaque with a background color."""

    folder = "cutouts"

    def part(self, photo: np.ndarray, instance: Instance) -> np.ndarray:
        """See `PhotoWriter`."""
        alpha = object_alpha(instance)
        if self.background is None:
            return np.dstack([photo[..., ::-1], alpha])
        return on_color(photo, alpha, self.background)[..., ::-1]


class CropWriter(PhotoWriter):
    """The photo cropped to the tight box of each mask, optionally on a background color.

    For an empty mask, the prompt box is used, or the whole photo.
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
    """Alpha of an object, uint8 (H, W): 0 or 255 by its mask, or the predicted probability.

    The mask takes precedence where it was cleaned: its pixels are at least half opaque, other pixels are less, and
    pixels far from it are transparent.
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
    """Blend a photo, uint8 RGB (H, W, 3), onto a color by alpha, uint8 (H, W)."""
    share = alpha[..., None].astype(np.float32) / 255
    return np.rint(photo * share + np.array(color, np.float32) * (1 - share)).astype(np.uint8)
