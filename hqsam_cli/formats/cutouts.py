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
SPREAD = 16
EPSILON = 1e-5  # where a window has no pixel of the object, or of the background
TILE = 1024  # pixels per side of a photo in which they are estimated at once


class PhotoWriter(ImageWriter):
    """One picture per mask, cut from the photo.

    Args:
        background: color around the object, or None.
    """

    draws = True

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
        photo = foreground(photo, alpha)
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
            alpha = object_alpha(instance)
            part = on_color(foreground(photo, alpha)[box], alpha[box], self.background)
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


def foreground(photo: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The photo, uint8 RGB (H, W, 3), without colors of the background where alpha, uint8 (H, W), is between 0 and 255.

    By blur fusion (Forte, "Approximate Fast Foreground Colour Estimation", 2021), over windows of decreasing size, and
    for the background as for the object.
    """
    mixed = (alpha > 0) & (alpha < 255)
    if not mixed.any():  # of a mask without probabilities
        return photo
    colors = photo.copy()
    height, width = alpha.shape
    side = max(max(alpha.shape) // SPREAD, 3)
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            tile = slice(y, y + TILE), slice(x, x + TILE)
            if mixed[tile].any():
                top, left = max(y - side, 0), max(x - side, 0)
                near = slice(top, y + TILE + side), slice(left, x + TILE + side)
                inner = slice(y - top, y - top + TILE), slice(x - left, x - left + TILE)
                found = _foreground(photo[near].astype(np.float32), alpha[near].astype(np.float32) / 255, side)[inner]
                colors[tile][mixed[tile]] = np.rint(found[mixed[tile]])
    return colors


def _foreground(photo: np.ndarray, alpha: np.ndarray, side: int) -> np.ndarray:
    """The colors of the object, float (h, w, 3), from those of a photo, which are mixed by alpha, float (h, w)."""
    shares = np.stack([alpha, 1 - alpha])[..., None]  # of the object, and of the background
    layers = np.stack([photo, photo])
    while side >= 3:
        means = zip(layers * shares, shares, strict=True)
        layers = np.stack([_blur(own, side) / (_blur(share, side) + EPSILON) for own, share in means])
        layers += shares * (photo - (shares * layers).sum(axis=0))
        layers = layers.clip(0, 255)
        side //= 2
    return np.asarray(layers[0])


def _blur(values: np.ndarray, side: int) -> np.ndarray:
    """The mean of a square around each pixel, of (h, w, c)."""
    return np.asarray(cv2.blur(values, (side | 1, side | 1))).reshape(values.shape)
