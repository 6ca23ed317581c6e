"""Interactive segmentation: how many clicks until the mask is right (RITM, Sofiiuk et al., ICIP 2022)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..records import Prompt
from .metrics import iou
from .prompts import depth, innermost_pixel

MOST_CLICKS = 20
TARGETS = (0.80, 0.85, 0.90)


def click_ious(mask_of: Callable[[Prompt], np.ndarray], gt: np.ndarray) -> list[float]:
    """IoU after each of twenty clicks, each in the middle of the largest error.

    Args:
        mask_of: the model's mask, bool (H, W), for all clicks so far.
        gt: bool (H, W).
    """
    mask = np.zeros_like(gt)
    not_clicked = np.ones(gt.shape, np.float32)
    clicks: list[tuple[int, int, int]] = []
    ious = []
    for _ in range(MOST_CLICKS):
        x, y, label = next_click(mask, gt, not_clicked)
        not_clicked[y, x] = 0
        clicks.append((x, y, label))
        mask = mask_of(Prompt(1, points=np.array(clicks, float)))
        ious.append(iou(mask, gt))
    return ious


def next_click(mask: np.ndarray, gt: np.ndarray, not_clicked: np.ndarray) -> tuple[int, int, int]:
    """x, y, label of the next click: the deepest pixel of what is missed, or of what is too much.

    Args:
        mask, gt: bool (H, W).
        not_clicked: float32 (H, W), 0 where a click was made before.
    """
    missed = depth(gt & ~mask) * not_clicked
    excess = depth(mask & ~gt) * not_clicked
    inside = bool(missed.max() > excess.max())
    return *innermost_pixel(missed if inside else excess), int(inside)


def clicks_until(ious: list[float], target: float) -> int:
    """The number of the first click that reaches the target, or twenty."""
    return next((n for n, value in enumerate(ious, 1) if value >= target), MOST_CLICKS)
