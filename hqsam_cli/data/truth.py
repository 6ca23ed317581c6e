"""Reading truth masks, and saying what is wrong with those that cannot be counted."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import ImageError


def truth_mask(path: Path) -> np.ndarray:
    """A mask file as bool (H, W): over 128 of 255, the first channel where there are several.

    Raises:
        ImageError: missing, unreadable, empty, or not of the values 0 to 255.
    """
    return thresholded(path, mask_values(path))


def thresholded(path: Path, values: np.ndarray) -> np.ndarray:
    """Where the values of a mask file are over 128; see `truth_mask`."""
    mask = values > 128
    if not mask.any():
        largest = int(values.max())
        raise ImageError(
            f"{path}: the mask is empty"
            if not largest
            else f"{path}: its largest value is {largest}; masks are 0 and 255, so multiply it"
        )
    return mask


def mask_values(path: Path) -> np.ndarray:
    """The first channel of a mask file, uint8 (H, W).

    Raises:
        ImageError: missing or unreadable.
    """
    if not path.is_file():
        raise ImageError(f"{path}: the mask is missing")
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ImageError(f"{path}: no readable image")
    if values.ndim == 3:
        values = values[..., 2]  # OpenCV's order is blue, green, red
    return (values // 257).astype(np.uint8) if values.dtype == np.uint16 else values.astype(np.uint8)


def check_same_size(path: Path, mask: np.ndarray, image: np.ndarray) -> None:
    """Raise an ImageError unless a mask has the size of its photo."""
    if mask.shape != image.shape[:2]:
        (height, width), (mask_height, mask_width) = image.shape[:2], mask.shape
        raise ImageError(f"{path}: the mask is {mask_width}x{mask_height}, its photo {width}x{height}")
