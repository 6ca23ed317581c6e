"""Oriented boxes: the smallest rectangles around masks, at any angle."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ..records import Segmentation
from .segmentation import decode_crop


class OrientedBox(NamedTuple):
    """A box of a width and height around a center, in pixels, rotated clockwise by degrees from 0 to less than 90."""

    center: tuple[float, float]
    size: tuple[float, float]
    degrees: float

    def corners(self) -> np.ndarray:
        """Corners x, y in pixels, float32 (4, 2)."""
        points: np.ndarray = cv2.boxPoints(self)
        return points


def oriented_box(segmentation: Segmentation, width: int, height: int) -> OrientedBox | None:
    """The rectangle of least area around the pixels of a mask; None if it is empty.

    Raises:
        ValueError: the segmentation is invalid.
    """
    mask = decode_crop(segmentation, width, height)
    rows = np.flatnonzero(mask.bits.any(axis=1))
    if not len(rows):
        return None
    first, last = mask.bits[rows].argmax(axis=1), mask.bits.shape[1] - mask.bits[rows, ::-1].argmax(axis=1)
    edges = np.concatenate([np.stack([x, rows + below], axis=1) for x in (first, last) for below in (0, 1)])
    center, (w, h), degrees = cv2.minAreaRect((edges + np.array([mask.x, mask.y])).astype(np.float32))
    turns, degrees = divmod(degrees, 90)  # the range of the angle depends on the version of OpenCV
    return OrientedBox((center[0], center[1]), (h, w) if turns % 2 else (w, h), degrees)
