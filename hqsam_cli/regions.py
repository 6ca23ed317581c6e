"""The connected parts of masks, the holes in them, and their outlines."""

from __future__ import annotations

import cv2
import numpy as np

from .configs import CleanConfig
from .records import MaskCrop

WINDOW = 5  # side of the square whose majority smooths an outline


def drop_parts(bits: np.ndarray, area: float, *, keep_largest: bool) -> tuple[np.ndarray, int]:
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


def fill_holes(bits: np.ndarray, area: float) -> tuple[np.ndarray, int]:
    """A bool mask (H, W) with its holes of fewer pixels filled, and how many these were.

    What reaches the border of the array is no hole.
    """
    around = np.pad(~bits, 1, constant_values=True)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(around.astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < area
    small[[0, labels[0, 0]]] = False  # the mask itself, and what is around it
    filled = int(small.sum())
    return (bits | small[labels[1:-1, 1:-1]] if filled else bits), filled


def smooth(bits: np.ndarray) -> np.ndarray:
    """A bool mask (H, W) with a smooth outline: what most of the 5 x 5 pixels around each are.

    A median takes away what is thin. So lines and gaps of one or two pixels stay as they are, but for the bumps and
    dents of an outline, which have fewer than five.
    """
    if not bits.size:
        return bits
    majority = cv2.medianBlur(bits.astype(np.uint8), WINDOW).astype(bool)
    return np.asarray((majority | _thin(bits)) & ~_thin(~bits))


def _thin(bits: np.ndarray) -> np.ndarray:
    """What of a mask no square of 3 x 3 fits into, in parts of at least `WINDOW` pixels."""
    opened = cv2.morphologyEx(bits.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(bool)
    return drop_parts(bits & ~opened, WINDOW, keep_largest=False)[0]


def clean(mask: MaskCrop, config: CleanConfig) -> MaskCrop:
    """A mask as `config` has it. One that has a pixel never loses them all."""
    bits, x, y = mask.bits, mask.x, mask.y
    if not bits.any():
        return mask
    if config.smooth:
        # Outlines may grow, but not out of the image; at its border the median takes what is there.
        rows, columns = bits.shape
        left, top = max(x - WINDOW, 0), max(y - WINDOW, 0)
        right, bottom = min(x + columns + WINDOW, mask.width), min(y + rows + WINDOW, mask.height)
        grown = np.zeros((bottom - top, right - left), bool)
        grown[y - top : y - top + rows, x - left : x - left + columns] = bits
        smoothed = smooth(grown)
        bits, x, y = (smoothed if smoothed.any() else grown), left, top
    if config.fill_holes:
        bits, _ = fill_holes(bits, area_of(config.fill_holes, bits))
    if config.largest_part:
        bits, _ = drop_parts(bits, bits.size + 1, keep_largest=True)
    elif config.min_region:
        bits, _ = drop_parts(bits, area_of(config.min_region, bits), keep_largest=True)
    return MaskCrop(bits, x, y, mask.width, mask.height)


def area_of(text: str, bits: np.ndarray) -> float:
    """Pixels that a number stands for, or with `%` behind it a share of the set pixels of a mask."""
    return float(text[:-1]) / 100 * np.count_nonzero(bits) if text.endswith("%") else float(text)
