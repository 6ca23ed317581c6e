"""Prompts given as values of options, `--box` and `--point`, for one image."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..configs import PromptConfig
from ..errors import UsageError
from ..records import Box, RawPrompt


def read_typed(config: PromptConfig) -> tuple[RawPrompt, ...]:
    """The prompts of `box` and `point`: an object per box; all points belong to one object, that of the box if any.

    Raises:
        UsageError: a value is not a box or a point, or there are points and several boxes.
    """
    boxes = [_box(text) for text in config.box]
    points = np.array([_point(text) for text in config.point], np.float64) if config.point else None
    if points is not None and len(boxes) > 1:
        raise UsageError("points with several boxes", option="point", remedy="pass one --box, or --boxes and --points")
    if points is not None:
        return (RawPrompt(0, box=boxes[0] if boxes else None, points=points),)
    return tuple(RawPrompt(0, box=box) for box in boxes)


def _box(text: str) -> Box:
    numbers = _numbers(text)
    if len(numbers) != 4 or numbers[2] <= numbers[0] or numbers[3] <= numbers[1] or max(numbers) <= 1:
        remedy = "pass X0,Y0,X1,Y1: left, top, right and bottom in pixels"
        raise UsageError("not a box", option="box", value=text, remedy=remedy)
    x0, y0, x1, y1 = numbers
    return x0, y0, x1, y1


def _point(text: str) -> Sequence[float]:
    numbers = _numbers(text)
    if len(numbers) not in (2, 3) or (*numbers, 1)[2] not in (0, 1):
        remedy = "pass X,Y in pixels, or X,Y,0 for background"
        raise UsageError("not a point", option="point", value=text, remedy=remedy)
    return (*numbers, 1)[:3]


def _numbers(text: str) -> list[float]:
    """Finite numbers separated by commas; empty if any is not one."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        return []
    return numbers if all(map(math.isfinite, numbers)) else []
