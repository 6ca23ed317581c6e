"""Masks as polygons, for formats that have no run lengths.

Readers draw polygons in two ways. `pycocotools`, and CVAT with it, sets the pixels whose centers are inside; OpenCV
and Pillow, and so ultralytics, supervision and labelme, set every pixel that the outline touches. An outline along the
borders of the pixels is right for the first and a pixel too large for the others; one through their centers is right
for the others and half a pixel too small for the first. Here it runs between the two, a quarter of a pixel inside the
border, which gives all of them the same pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..inference.regions import fill_holes, remove_small_regions
from ..records import MaskCrop

SMALLEST = 10  # pixels; parts and holes of fewer are left out
BLOCK = 1_000_000  # distances that are looked at together


class Polygons(NamedTuple):
    """A mask as polygons.

    Attributes:
        parts: x, y, x, y, … of each part, in pixels from the upper left corner of the image.
        iou: of the mask and the polygons, as `pycocotools` draws them; 1 where both are empty.
        dropped: how many parts and holes of the mask were too small.
    """

    parts: list[list[float]]
    iou: float
    dropped: int

    def record(self) -> dict[str, Any]:
        """As a run keeps them beside an annotation."""
        return {**self._asdict(), "iou": round(self.iou, 6)}


@dataclass(slots=True)
class PolygonCost:
    """What polygons cost the masks of a run."""

    masks: int = 0
    ious: float = 0.0
    lowest: float = 1.0
    dropped: int = 0

    def add(self, annotations: Iterable[Mapping[str, Any]]) -> None:
        """Count annotations, as far as they have polygons."""
        for polygons in (annotation["polygons"] for annotation in annotations if "polygons" in annotation):
            self.masks += 1
            self.ious += polygons["iou"]
            self.lowest = min(self.lowest, polygons["iou"])
            self.dropped += polygons["dropped"]

    def __str__(self) -> str:
        left_out = f"; {self.dropped} parts and holes of fewer than {SMALLEST} pixels left out" if self.dropped else ""
        mean = self.ious / self.masks
        return f"polygons: mean IoU with the masks {mean:.4f}, lowest {self.lowest:.4f}{left_out}"


def mask_polygons(mask: MaskCrop, tolerance: float) -> Polygons:
    """A mask as polygons, a part each; holes are cut open by a line to the nearest corner around them.

    Args:
        tolerance: how far an outline may be from the mask's, in pixels. Half a square root of a half, 0.35, makes
            stairs straight and changes next to no pixel.
    """
    bits, parts = remove_small_regions(mask.bits, SMALLEST, keep_largest=True)
    bits, holes = fill_holes(bits, SMALLEST)
    found = [join(rings) + np.array([mask.x, mask.y]) for rings in _rings(bits, tolerance)]
    polygons = [ring.ravel().tolist() for ring in found]
    return Polygons(polygons, _iou(mask, polygons), parts + holes)


def _rings(bits: np.ndarray, tolerance: float) -> list[list[np.ndarray]]:
    """The outline of each part of a mask, and of the holes in it, float (n, 2), n at least 3."""
    # Of every pixel the four quarters: contours run through the centers of the outermost of them.
    quarters = bits.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, hierarchy = cv2.findContours(quarters, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts: dict[int, list[np.ndarray]] = {}
    for number, contour in enumerate(contours):
        parent = int(hierarchy[0][number][3])
        ring = (_simplified(contour, 2 * tolerance) + 0.5) / 2
        parts.setdefault(number if parent < 0 else parent, []).insert(0 if parent < 0 else len(contours), ring)
    return list(parts.values())


def _simplified(contour: np.ndarray, tolerance: float) -> np.ndarray:
    """Corners (n, 2) of a contour (m, 1, 2) from which no point of it is further; of what is thin, closer."""
    ring = cv2.approxPolyDP(contour, tolerance, True)
    while len(ring) < 3:
        tolerance /= 2
        ring = cv2.approxPolyDP(contour, tolerance, True)
    return np.asarray(ring[:, 0], np.float64)


def join(rings: Sequence[np.ndarray]) -> np.ndarray:
    """Rings (n, 2) as one, cut open and joined by lines between their nearest corners, there and back.

    The first is where it begins. Each of the others is joined to what is nearest to it of those that are joined.
    """
    joined = added = rings[0]
    nearest: dict[int, tuple[float, int, np.ndarray]] = {}  # distance, own corner, and the other's
    left = list(range(1, len(rings)))
    while left:
        for number in left:
            distance, own, other = _nearest(rings[number], added)
            if number not in nearest or distance < nearest[number][0]:
                nearest[number] = distance, own, added[other]
        number = min(left, key=lambda n: nearest[n][0])
        left.remove(number)
        _, own, corner = nearest[number]
        added = np.roll(rings[number], -own, axis=0)
        place = int((joined == corner).all(axis=1).argmax()) + 1
        joined = np.concatenate([joined[:place], added, added[:1], joined[place - 1 :]])
    return joined


def _nearest(ring: np.ndarray, other: np.ndarray) -> tuple[float, int, int]:
    """The least squared distance between corners of two rings, and the places of these."""
    best = (np.inf, 0, 0)
    rows = max(BLOCK // len(other), 1)
    for start in range(0, len(ring), rows):
        distances = ((ring[start : start + rows, None] - other) ** 2).sum(axis=2)
        own, place = divmod(int(distances.argmin()), len(other))
        best = min(best, (float(distances[own, place]), start + own, place))
    return best


def _iou(mask: MaskCrop, polygons: list[list[float]]) -> float:
    from pycocotools import mask as coco_mask

    if not polygons:
        return 1.0
    drawn = coco_mask.merge(coco_mask.frPyObjects(polygons, mask.height, mask.width))
    return float(coco_mask.iou([drawn], [mask.rle], [0])[0, 0])
