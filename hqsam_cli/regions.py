"""The connected parts of masks, and the holes in them."""

from __future__ import annotations

import cv2
import numpy as np


def drop_parts(bits: np.ndarray, area: int, *, keep_largest: bool) -> tuple[np.ndarray, int]:
    """A bool mask (H, W) without its parts of fewer pixels, and how many these were.

    Pixels that touch at a corner are one part.

    Args:
        keep_largest: where all parts are small, the largest stays.
    """
    if not bits.size:  # which OpenCV does not survive
        return bits, 0
    count, labels, stats, _ = cv2.connectedComponentsWithStats(bits.astype(np.uint8), connectivity=8)
    sizes = stats[:, cv2.CC_STAT_AREA]
    kept = sizes >= area
    kept[0] = False  # what is not set
    if count > 1 and keep_largest and not kept.any():
        kept[1 + sizes[1:].argmax()] = True
    dropped = count - 1 - int(kept.sum())
    return (kept[labels] if dropped else bits), dropped


def fill_holes(bits: np.ndarray, area: int) -> tuple[np.ndarray, int]:
    """A bool mask (H, W) with its holes of fewer pixels filled, and how many these were.

    What reaches the border of the array is no hole.
    """
    around = np.pad(~bits, 1, constant_values=True)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(around.astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < area
    small[[0, labels[0, 0]]] = False  # the mask itself, and what is around it
    filled = int(small.sum())
    return (bits | small[labels[1:-1, 1:-1]] if filled else bits), filled
