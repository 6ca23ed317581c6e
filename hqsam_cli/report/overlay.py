"""An image with its masks drawn over it."""

from __future__ import annotations

import cv2
import numpy as np


def overlay(image: np.ndarray, masks: list[np.ndarray], labels: list[str] | None = None) -> np.ndarray:
    """The image with each mask in a color of its own, outlined, and its label if any: uint8 RGB of the same size.

    Args:
        image: (H, W, 3) uint8 RGB.
        masks: bool (H, W) each.
    """
    drawn = image.copy()
    thickness = max(1, round(max(image.shape[:2]) / 400))
    for index, mask in enumerate(masks):
        color = _color(index)
        drawn[mask] = (0.45 * drawn[mask] + 0.55 * np.array(color)).astype(np.uint8)
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, outlines, -1, tuple(int(c * 0.55) for c in color), thickness, cv2.LINE_AA)
    for index, (mask, label) in enumerate(zip(masks, labels, strict=True) if labels else ()):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            _write(drawn, label, int(columns.mean()), int(rows.mean()), _color(index))
    return drawn


def _color(index: int) -> tuple[int, int, int]:
    """Colors that differ however many there are: hues a golden section apart."""
    hue = int(180 * ((0.58 + 0.618034 * index) % 1))
    r, g, b = cv2.cvtColor(np.array([[[hue, 190, 255]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return r, g, b


def _write(image: np.ndarray, text: str, x: int, y: int, color: tuple[int, int, int]) -> None:
    """A label on a dark plate, centerd at x, y and kept within the image."""
    scale = max(0.4, max(image.shape[:2]) / 1200)
    (width, height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x = int(np.clip(x - width // 2, 2, max(2, image.shape[1] - width - 2)))
    y = int(np.clip(y + height // 2, height + 2, max(height + 2, image.shape[0] - base - 2)))
    cv2.rectangle(image, (x - 3, y - height - 3), (x + width + 3, y + base), (25, 25, 25), -1)
    cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, color, 1, cv2.LINE_AA)
