"""Masks in image files, read in one way wherever they are met."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..configs import DEFAULT_MAX_PIXELS
from ..errors import ImageError
from .images import open_image

THRESHOLD = 128  # what is brighter is object, as the authors have it


def read_mask(path: Path) -> np.ndarray:
    """Where a mask file is object, bool (H, W); see `read_mask_values`."""
    return read_mask_values(path) > THRESHOLD


def read_mask_values(path: Path, max_pixels: int = DEFAULT_MAX_PIXELS) -> np.ndarray:
    """The values of a mask file as it is stored, uint8 0 to 255 (H, W).

    The brightest channel of colors; the transparency of a cut-out; 255 where a file of 0 and 1, or of a palette of two,
    has its second value; 16 bits by their full range.

    Raises:
        ImageError: missing, unreadable, or a palette of several objects.
    """
    if not path.exists():
        raise ImageError(f"{path}: the mask is missing")
    with open_image(str(path), exif="ignore", max_pixels=max_pixels) as image:
        values = _gray(image, path)
    if values.max(initial=0) <= 1:
        return values.astype(np.uint8) * np.uint8(255)
    return (values // 257 if values.dtype.itemsize > 1 else values).astype(np.uint8)


def _gray(image: Image.Image, path: Path) -> np.ndarray:
    """Gray values (H, W) of a mask, in the depth of its file."""
    if image.mode == "P":
        palette = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)
        indices = np.asarray(image)
        if (palette == palette[:, :1]).all():
            return palette[:, 0][indices]
        used = np.unique(indices)
        if len(used) > 2:
            raise ImageError(f"{path}: a palette of {len(used)} classes; make it a mask of one object, 0 and 255")
        return (indices > used[0]).astype(np.uint8) if len(used) == 2 else (indices > 0).astype(np.uint8)
    if image.mode in ("1", "L") or image.mode.startswith(("I", "F")):
        return np.asarray(image).astype(np.uint16 if image.mode.startswith("I") else np.uint8)
    if "A" in image.getbands():
        alpha = np.asarray(image.getchannel("A"))
        if alpha.min() < 255:
            return alpha
    return np.asarray(image.convert("RGB")).max(axis=2)
