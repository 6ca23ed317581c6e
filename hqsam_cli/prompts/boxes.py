"""Convert boxes in files to corners."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from ..configs import BoxFormat
from ..errors import HqsamError
from ..formats.segmentation import enclosing_box
from ..records import Box

Size: TypeAlias = tuple[int, int]  # width, height
NORMALIZED: tuple[BoxFormat, ...] = ("xyxyn", "cxcywhn")  # coordinates from 0 to 1
TOLERANCE = 0.01  # of normalized coordinates outside 0 to 1
MOST = 0.9  # of the boxes; a few outliers are allowed


def corners(numbers: Sequence[float] | None, box_format: BoxFormat) -> Box:
    """Convert four numbers to x0, y0, x1, y1, in the unit of the format.

    Raises:
        ValueError: the box is invalid; the message is the end of a sentence.
    """
    if numbers is None:
        raise ValueError("is not four finite numbers")
    a, b, c, d = numbers
    if box_format == "xywh":
        c, d = a + c, b + d
    elif box_format == "cxcywhn":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    if c <= a or d <= b:
        raise ValueError("has no area")
    return a, b, c, d


def rotated_box(box: Box, degrees: float, pivot: tuple[float, float]) -> Box:
    """The box enclosing a box rotated clockwise about a point."""
    if not degrees:
        return box
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    offsets = [(x - pivot[0], y - pivot[1]) for x in box[::2] for y in box[1::2]]
    points = [(pivot[0] + x * cosine - y * sine, pivot[1] + x * sine + y * cosine) for x, y in offsets]
    return enclosing_box([n for point in points for n in point])


def check_box_format(boxes: Sequence[tuple[Sequence[float], Size | None]], box_format: BoxFormat, path: str) -> None:
    """Raise an HqsamError if boxes in the default format cannot be in pixels, or are corners.

    Args:
        boxes: four numbers each, and the image size if known.
    """
    sized = [(numbers, size) for numbers, size in boxes if numbers[2] > 0 and numbers[3] > 0]
    small = [box for box, _ in sized if all(-TOLERANCE <= n <= 1 + TOLERANCE for n in box)]
    if len(small) >= MOST * len(sized) > 0 and any(n % 1 for box in small for n in box):
        raise HqsamError(
            "its boxes are between 0 and 1, which are normalized coordinates and no pixels",
            file=path,
            remedy="pass `box_format` cxcywhn for center and size, xyxyn for corners, "
            f"or {box_format} if they are pixels",
        )
    if box_format == "xywh":
        known = [((x, y, x + w, y + h), size) for (x, y, w, h), size in sized if size is not None]
        check_no_corners(known, f"of {len(known)}", path)


def check_no_corners(boxes: Sequence[tuple[Box, Size]], total: str, path: str | None = None) -> None:
    """Raise an HqsamError if boxes read as x, y, width, height leave their images and must be corners."""
    leave = sum(x1 > width + 1 or y1 > height + 1 for (_, _, x1, y1), (width, height) in boxes)
    fit = sum(x0 < x1 - x0 <= width + 1 and y0 < y1 - y0 <= height + 1 for (x0, y0, x1, y1), (width, height) in boxes)
    if 2 * leave > len(boxes) and fit >= MOST * len(boxes):
        raise HqsamError(
            f"{leave} {total} boxes exceed their images as x, y, width, height, and fit as corners",
            file=path,
            remedy="pass `box_format` xyxy, or xywh if that is correct",
        )
