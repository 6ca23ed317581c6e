"""Draw masks on an image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

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
    return drawn if not labels else _labeled(drawn, masks, labels)


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
    font = ImageFont.load_default(size)
    ImageDraw.Draw(canvas).text((6, height / 2), title, DARK, font, anchor="lm")
    return np.asarray(canvas)


def _labeled(drawn: np.ndarray, masks: Sequence[np.ndarray], labels: Sequence[str]) -> np.ndarray:
    """Draw labels on dark plates with a colored rim, at the top of each mask and within the image."""
    height, width = drawn.shape[:2]
    canvas = Image.fromarray(drawn)
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(max(11.0, max(height, width) / 55))
    for index, (mask, label) in enumerate(zip(masks, labels, strict=True)):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            continue
        left, top, right, bottom = pen.textbbox((0, 0), label, font, anchor="la")
        x = min(max(int(columns[0]), 2), max(2, width - int(right - left) - 6))
        y = max(int(rows[0]) - int(bottom - top) - 8, 2)
        pen.rectangle((x - 2, y - 2, x + right - left + 4, y + bottom - top + 4), DARK, instance_color(index))
        pen.text((x + 1 - left, y + 1 - top), label, LIGHT, font)
    return np.asarray(canvas)
