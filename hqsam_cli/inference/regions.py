"""Removal of small connected components, hole filling and outline smoothing of masks; does not import torch."""

from __future__ import annotations

import cv2
import numpy as np

from ..configs import CleanConfig
from ..records import MaskCrop

WINDOW = 5  # size of the median filter, in pixels


def has_several_regions(values: np.ndarray) -> bool:
    """Whether a mask, uint8 0 / 1 (h, w), has several 8-connected components.

    Counting outlines is many times faster than labeling pixels, and most masks have one.
    """
    _, tree = cv2.findContours(values, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return tree is not None and int(np.count_nonzero(tree[0, :, 3] < 0)) > 1


def remove_small_regions(bits: np.ndarray, area: float, *, keep_largest: bool) -> tuple[np.ndarray, int]:
    """Remove the 8-connected components of a bool mask (H, W) smaller than `area` pixels.

    Args:
        keep_largest: if all are smaller, keep the largest.

    Returns:
        The mask, and the number of removed components.
    """
    if not bits.size:  # OpenCV crashes on empty arrays
        return bits, 0
    values = bits.view(np.uint8)
    if keep_largest and not has_several_regions(values):
        return bits, 0
    count, labels, stats, _ = cv2.connectedComponentsWithStats(values, connectivity=8)
    sizes = stats[:, cv2.CC_STAT_AREA]
    kept = sizes >= area
    kept[0] = False  # background
    if count > 1 and keep_largest and not kept.any():
        kept[1 + sizes[1:].argmax()] = True
    removed = count - 1 - int(kept.sum())
    return (kept[labels] if removed else bits), removed


def fill_holes(bits: np.ndarray, area: float) -> tuple[np.ndarray, int]:
    """Fill the holes of a bool mask (H, W) smaller than `area` pixels; background at the border is not a hole.

    Returns:
        The mask, and the number of filled holes.
    """
    background = np.pad(~bits, 1, constant_values=True)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(background.astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < area
    small[[0, labels[0, 0]]] = False  # the mask itself, and the background around it
    filled = int(small.sum())
    return (bits | small[labels[1:-1, 1:-1]] if filled else bits), filled


def smooth(bits: np.ndarray) -> np.ndarray:
    """Smooth the outline of a bool mask (H, W) with a 5 x 5 median filter that preserves thin structures.

    A median removes lines and gaps of one or two pixels, so these are restored; bumps and dents of fewer than five
    pixels are not.
    """
    if not bits.size:
        return bits
    filtered = cv2.medianBlur(bits.astype(np.uint8), WINDOW).astype(bool)
    return np.asarray((filtered | _thin(bits)) & ~_thin(~bits))


def _thin(bits: np.ndarray) -> np.ndarray:
    """Components of at least `WINDOW` pixels that an opening with a 3 x 3 square removes from a mask."""
    opened = cv2.morphologyEx(bits.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(bool)
    return remove_small_regions(bits & ~opened, WINDOW, keep_largest=False)[0]


def clean(mask: MaskCrop, config: CleanConfig) -> MaskCrop:
    """Smooth a mask, fill its holes and remove its small regions, unless raw; a non-empty mask never becomes empty."""
    bits, x, y = mask.bits, mask.x, mask.y
    if config.raw or not bits.any():
        return mask
    if config.smooth:
        # The outline may grow beyond the crop, but not beyond the image, whose border pixels the median filter repeats.
        rows, columns = bits.shape
        left, top = max(x - WINDOW, 0), max(y - WINDOW, 0)
        right, bottom = min(x + columns + WINDOW, mask.width), min(y + rows + WINDOW, mask.height)
        padded = np.zeros((bottom - top, right - left), bool)
        padded[y - top : y - top + rows, x - left : x - left + columns] = bits
        smoothed = smooth(padded)
        bits, x, y = (smoothed if smoothed.any() else padded), left, top
    if config.fill_holes:
        bits, _ = fill_holes(bits, _area(config.fill_holes, bits))
    if config.largest_part:
        bits, _ = remove_small_regions(bits, bits.size + 1, keep_largest=True)
    else:
        bits, _ = remove_small_regions(bits, _area(config.min_region, bits), keep_largest=True)
    return MaskCrop(bits, x, y, mask.width, mask.height)


def _area(text: str, bits: np.ndarray) -> float:
    """Parse an area in pixels: a number, or with `%` relative to the mask area."""
    return float(text[:-1]) / 100 * np.count_nonzero(bits) if text.endswith("%") else float(text)
