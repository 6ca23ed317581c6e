"""Draw masks on an image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..records import MaskCrop

FILL = 0.45  # opacity of a mask
DARK, LIGHT = (20, 20, 20), (255, 255, 255)


def overlay(
    image: np.ndarray,
    masks: Sequence[np.ndarray],
    labels: Sequence[str] | None = None,
    boxes: Sequence[Sequence[float] | None] | None = None,
) -> np.ndarray:
    """Draw each mask in its own color, outlined, with its box and label if given: uint8 RGB.

    Lines and labels scale with the image and have a dark rim, visible on light and dark backgrounds.

    Args:
        image: (H, W, 3) uint8 RGB; the result has its size.
        masks: bool (H, W) each.
        boxes: x, y, width, height in pixels, or None, per mask.
    """
    drawn = image.copy()
    line = max(1, round(max(image.shape[:2]) / 500))
    for index, mask in enumerate(masks):
        color = instance_color(index)
        drawn[mask] = ((1 - FILL) * drawn[mask] + FILL * np.array(color)).astype(np.uint8)
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        for shade, width in ((DARK, line + 2), (color, line)):
            cv2.drawContours(drawn, outlines, -1, shade, width, cv2.LINE_AA)
    for index, box in enumerate(boxes or ()):
        if box is not None:
            x, y, w, h = (round(n) for n in box)
            for shade, width in ((DARK, line + 2), (instance_color(index), line)):
                cv2.rectangle(drawn, (x, y), (x + w - 1, y + h - 1), shade, width)
    return drawn if not labels else _labeled(drawn, masks, labels, boxes)


def instance_color(index: int) -> tuple[int, int, int]:
    """Distinct RGB color of an instance, by golden-ratio hue steps; the same as on the report page."""
    hue = int(180 * ((0.58 + 0.618034 * index) % 1))
    r, g, b = cv2.cvtColor(np.array([[[hue, 190, 255]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return r, g, b


def titled(image: np.ndarray, title: str) -> np.ndarray:
    """Add a title above an image, on white: uint8 RGB."""
    height = max(22, round(image.shape[0] / 16))
    page = np.pad(image, ((height, 6), (3, 3), (0, 0)), constant_values=255)
    canvas = Image.fromarray(page)
    size = 0.62 * height
    size *= min(1.0, (page.shape[1] - 12) / max(ImageFont.load_default(size).getlength(title), 1))
    font = ImageFont.load_default(max(size, 1.0))  # FreeType refuses smaller ones
    ImageDraw.Draw(canvas).text((6, height / 2), title, DARK, font, anchor="lm")
    return np.asarray(canvas)


def _labeled(
    drawn: np.ndarray,
    masks: Sequence[np.ndarray],
    labels: Sequence[str],
    boxes: Sequence[Sequence[float] | None] | None,
) -> np.ndarray:
    """Draw labels on dark plates with a colored rim, each at its mask, or box if that is empty, within the image.

    Those of large objects come first; a label for which there is no place free of others is left out.
    """
    height, width = drawn.shape[:2]
    canvas = Image.fromarray(drawn)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(max(11.0, max(height, width) / 55))
    frames = [_frame(mask, box) for mask, box in zip(masks, boxes or [None] * len(masks), strict=True)]
    taken: list[tuple[int, int, int, int]] = []
    for index in sorted(range(len(frames)), key=lambda n: -frames[n][2] * frames[n][3]):
        x, y, w, h = frames[index]
        if not w or not labels[index]:
            continue
        left, top, right, bottom = (int(n) for n in pen.textbbox((0, 0), labels[index], font, anchor="la"))
        plate_w, plate_h = right - left + 6, bottom - top + 6
        # Above the object, in its upper, middle and lower part, and below it.
        for y0 in (y - plate_h, y + 2, y + (h - plate_h) // 2, y + h - plate_h - 2, y + h):
            x0, y0 = max(min(x, width - plate_w - 1), 0), max(min(y0, height - plate_h - 1), 0)
            plate = (x0, y0, x0 + plate_w, y0 + plate_h)
            if not any(_meet(plate, other) for other in taken):
                taken.append(plate)
                pen.rectangle(plate, DARK, instance_color(index))
                pen.text((x0 + 3 - left, y0 + 3 - top), labels[index], LIGHT, font)
                break
    return np.asarray(canvas)


def _frame(mask: np.ndarray, box: Sequence[float] | None) -> tuple[int, int, int, int]:
    """x, y, width and height of a mask, or of the box if it is empty; 0 without any."""
    x, y, w, h = MaskCrop.whole(mask).tight_box()
    if not w and box is not None:
        x, y, w, h = (round(n) for n in box)
    return x, y, w, h


def _meet(first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether two plates x0, y0, x1, y1 overlap."""
    return all(first[n] <= second[n + 2] and second[n] <= first[n + 2] for n in (0, 1))
