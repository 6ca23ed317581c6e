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
        """Corners x, y in pixels, float64 (4, 2), clockwise."""
        (w, h), angle = self.size, np.deg2rad(self.degrees)
        upright = np.array([(-w, -h), (w, -h), (w, h), (-w, h)]) / 2
        turned: np.ndarray = upright @ _axes(angle) + np.array(self.center)
        return turned


def oriented_box(segmentation: Segmentation, width: int, height: int) -> OrientedBox | None:
    """The rectangle of least area around the pixels of a mask; None if it is empty.

    A side of it lies on the convex hull. It is not left to `cv2.minAreaRect`, whose angles depend on the version.

    Raises:
        ValueError: the segmentation is invalid.
    """
    mask = decode_crop(segmentation, width, height)
    rows = np.flatnonzero(mask.bits.any(axis=1))
    if not len(rows):
        return None
    first, last = mask.bits[rows].argmax(axis=1), mask.bits.shape[1] - mask.bits[rows, ::-1].argmax(axis=1)
    edges = np.concatenate([np.stack([x, rows + below], axis=1) for x in (first, last) for below in (0, 1)])
    hull = cv2.convexHull(edges.astype(np.int32))[:, 0].astype(float)
    sides = np.diff(hull, axis=0, append=hull[:1])
    angles = np.unique(np.arctan2(sides[:, 1], sides[:, 0]).round(9) % (np.pi / 2))
    along = np.stack([hull @ _axes(angle).T for angle in angles])  # (angles, points, 2)
    low, high = along.min(axis=1), along.max(axis=1)
    best = int(np.prod(high - low, axis=1).round(6).argmin())
    x, y = (low[best] + high[best]) / 2 @ _axes(angles[best]) + [mask.x, mask.y]
    w, h = high[best] - low[best]
    return OrientedBox((float(x), float(y)), (float(w), float(h)), float(np.rad2deg(angles[best])))


def _axes(angle: float) -> np.ndarray:
    """The directions of the width and the height of a box, rotated clockwise."""
    return np.array([(np.cos(angle), np.sin(angle)), (-np.sin(angle), np.cos(angle))])
