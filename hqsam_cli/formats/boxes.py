"""Boxes as files write them, as corners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..configs import BoxFormat
from ..records import Box
from .values import read_numbers

SHARES: tuple[BoxFormat, ...] = ("xyxyn", "cxcywhn")  # of the image, not pixels
_CORNERS: dict[BoxFormat, Callable[[float, float, float, float], Box]] = {
    "xywh": lambda x, y, w, h: (x, y, x + w, y + h),
    "xyxy": lambda x0, y0, x1, y1: (x0, y0, x1, y1),
    "xyxyn": lambda x0, y0, x1, y1: (x0, y0, x1, y1),
    "cxcywhn": lambda x, y, w, h: (x - w / 2, y - h / 2, x + w / 2, y + h / 2),
}


def read_box(value: Any, box_format: BoxFormat) -> Box:
    """Four numbers as the corners x0, y0, x1, y1, in the unit of the format.

    Raises:
        ValueError: what is wrong with them, as the end of a sentence.
    """
    numbers = read_numbers(value, 4)
    if numbers is None:
        raise ValueError("is not four finite numbers")
    x0, y0, x1, y1 = _CORNERS[box_format](*numbers)
    if x1 <= x0 or y1 <= y0:
        raise ValueError("has no area")
    return x0, y0, x1, y1


def enclosing_box(points: Sequence[float]) -> Box:
    """The box around x, y, x, y, …"""
    return min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])
