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
# Formats with normalized coordinates, and the largest one.
NORMALIZED: dict[BoxFormat, int] = {"xyxyn": 1, "cxcywhn": 1, "xyxy1000": 1000, "yxyx1000": 1000}
TOLERANCE = 0.01  # of normalized coordinates outside 0 to 1
MOST = 0.9  # of the boxes; a few outliers are allowed
ALIKE = 0.5  # IoU of a box and the one around its segmentation
# The sides of the input of Qwen2.5-VL are multiples of a factor, and its area is limited, as in its checkpoints.
FACTOR, SMALLEST_INPUT, LARGEST_INPUT = 28, 56 * 56, 12_845_056


def corners(numbers: Sequence[float] | None, box_format: BoxFormat) -> Box:
    """Convert four numbers to x0, y0, x1, y1, in pixels, or normalized to 0 to 1 for the formats in `NORMALIZED`.

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
    elif box_format == "yxyx1000":
        a, b, c, d = b, a, d, c
    if c <= a or d <= b:
        raise ValueError("has no area")
    largest = NORMALIZED.get(box_format, 1)
    return a / largest, b / largest, c / largest, d / largest


def divided(box: Box, size: Size) -> Box:
    """A box in shares of a size."""
    width, height = size
    return box[0] / width, box[1] / height, box[2] / width, box[3] / height


def smart_resize(width: int, height: int) -> Size:
    """The size to which the image processor of Qwen2.5-VL resizes an image, as in its `smart_resize`."""
    w, h = (round(side / FACTOR) * FACTOR for side in (width, height))
    if w * h > LARGEST_INPUT:
        scale = math.sqrt(width * height / LARGEST_INPUT)
        w, h = (max(FACTOR, math.floor(side / scale / FACTOR) * FACTOR) for side in (width, height))
    elif w * h < SMALLEST_INPUT:
        scale = math.sqrt(SMALLEST_INPUT / (width * height))
        w, h = (math.ceil(side * scale / FACTOR) * FACTOR for side in (width, height))
    return w, h


def rotated_corners(box: Box, degrees: float, pivot: tuple[float, float] | None = None) -> list[float]:
    """The corners x, y, x, y, … of a box rotated clockwise about a point, by default its center."""
    x0, y0, x1, y1 = box
    px, py = pivot or ((x0 + x1) / 2, (y0 + y1) / 2)
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    offsets = [(x - px, y - py) for x, y in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    return [n for x, y in offsets for n in (px + x * cosine - y * sine, py + x * sine + y * cosine)]


def rotated_box(box: Box, degrees: float, pivot: tuple[float, float] | None = None) -> Box:
    """The box enclosing a box rotated clockwise about a point, by default its center."""
    return enclosing_box(rotated_corners(box, degrees, pivot)) if degrees else box


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
    if box_format == "qwen2.5":
        return  # pixels of another size
    known = [
        (corners(n, box_format), size)
        for n, size in sized
        if size is not None and (box_format == "xywh" or is_within(n))
    ]
    check_pixels(known, box_format, f"of {len(known)}", path)


def check_stated_format(
    boxes: Sequence[tuple[Sequence[float], Box, Size | None]], box_format: BoxFormat, path: str
) -> None:
    """Raise an HqsamError if boxes in a format that the user states are not those around their segmentations.

    Args:
        boxes: four numbers, the box around the segmentation in pixels, and the image size if known.
    """

    def agreeing(form: BoxFormat) -> int:
        return sum(_is_read(numbers, form, around, size) for numbers, around, size in boxes)

    if not boxes or 2 * agreeing(box_format) >= len(boxes):
        return
    best = max(("xywh", "xyxy", *NORMALIZED), key=agreeing)
    known = f"pass `box_format` {best}" if 2 * agreeing(best) >= len(boxes) else "omit `box_format`"
    raise HqsamError(
        f"{len(boxes) - agreeing(box_format)} of {len(boxes)} boxes are not around their segmentation as {box_format}",
        file=path,
        remedy=f"{known}, or remove `segmentation` from the file",
    )


def _is_read(numbers: Sequence[float], box_format: BoxFormat, around: Box, size: Size | None) -> bool:
    """Whether a box, read in a format, is about the one around its segmentation."""
    try:
        read = corners(numbers, box_format)
    except ValueError:
        return False
    if box_format in NORMALIZED and size is not None:
        read = (read[0] * size[0], read[1] * size[1], read[2] * size[0], read[3] * size[1])
    width, height = (min(read[n + 2], around[n + 2]) - max(read[n], around[n]) for n in (0, 1))
    common = max(width, 0) * max(height, 0)
    both = sum((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (read, around))
    return common >= ALIKE * (both - common)


def check_pixels(boxes: Sequence[tuple[Box, Size]], box_format: BoxFormat, total: str, path: str | None = None) -> None:
    """Raise an HqsamError if boxes in a default format leave their images, and fit them in another format.

    Args:
        boxes: x0, y0, x1, y1 in pixels, as read in `box_format`, and the image size.
        total: which boxes these are, for the message.
    """
    leave = sum(x1 > width + 1 or y1 > height + 1 for (_, _, x1, y1), (width, height) in boxes)
    if 2 * leave <= len(boxes):
        return
    sizes = [size for _, size in boxes]
    written = [
        (x0, y0, x1 - x0, y1 - y0) if box_format == "xywh" else (x0, y0, x1, y1) for (x0, y0, x1, y1), _ in boxes
    ]
    if box_format == "xywh" and _fit(written, sizes):
        raise HqsamError(
            f"{leave} {total} boxes exceed their images as x, y, width, height, and fit as corners",
            file=path,
            remedy="pass `box_format` xyxy, or xywh if that is correct",
        )
    if _fit(written, [(1000, 1000)] * len(written)):
        raise HqsamError(
            f"{leave} {total} boxes exceed their images in pixels, and fit as corners normalized to 0 to 1000",
            file=path,
            remedy="pass `box_format` xyxy1000, yxyx1000 if y comes first as in answers of Gemini, or "
            f"{box_format} if they are pixels",
        )


def _fit(boxes: Sequence[Box], sizes: Sequence[Size]) -> bool:
    """Whether most boxes are corners within their images."""
    return sum(is_within(*pair) for pair in zip(boxes, sizes, strict=True)) >= MOST * len(boxes)


def is_within(box: Sequence[float], size: Size | None = None) -> bool:
    """Whether four numbers can be corners x0, y0, x1, y1 with an area, within an image if its size is known."""
    x0, y0, x1, y1 = box
    return x0 < x1 and y0 < y1 and (size is None or (x1 <= size[0] + 1 and y1 <= size[1] + 1))
