"""Masks as polygons, for formats without RLE.

Readers rasterize polygons in two ways: `pycocotools` and CVAT set the pixels whose centers are inside; OpenCV and
Pillow, and thus ultralytics, supervision and labelme, set every pixel that the outline touches. An outline along
pixel borders is correct for the first and one pixel too large for the second; one through pixel centers is correct
for the second and half a pixel too small for the first. Outlines here run a quarter of a pixel inside the border,
where both give the same pixels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np

from ..inference.regions import fill_holes, remove_small_regions
from ..records import DECIMALS, Annotation, MaskCrop, Polygons

SMALLEST = 10  # pixels; smaller parts and holes are skipped
BLOCK = 1_000_000  # distances computed at once
FEW = 100  # rings up to which all distances are computed


class MaskPolygons(NamedTuple):
    """A mask as polygons.

    Attributes:
        parts: x, y, x, y, … of each part, in pixels from the upper left corner of the image.
        iou: IoU of the mask and the polygons rasterized by `pycocotools`; 1 if there are no polygons.
        dropped: number of parts and holes skipped as too small.
    """

    parts: list[list[float]]
    iou: float
    dropped: int

    def record(self) -> Polygons:
        """The `polygons` of an annotation."""
        return {"parts": self.parts, "iou": round(self.iou, DECIMALS), "dropped": self.dropped}


@dataclass(slots=True)
class PolygonCost:
    """Accuracy of the polygons of a run compared to the masks."""

    masks: int = 0
    ious: float = 0.0
    lowest: float = 1.0
    dropped: int = 0

    def add(self, annotations: Iterable[Annotation]) -> None:
        """Add the annotations that have polygons."""
        for polygons in (annotation["polygons"] for annotation in annotations if "polygons" in annotation):
            self.masks += 1
            self.ious += polygons["iou"]
            self.lowest = min(self.lowest, polygons["iou"])
            self.dropped += polygons["dropped"]

    def __str__(self) -> str:
        left_out = f"; {self.dropped} parts and holes of fewer than {SMALLEST} pixels skipped" if self.dropped else ""
        mean = self.ious / self.masks
        return f"polygons: mean IoU with the masks {mean:.4f}, lowest {self.lowest:.4f}{left_out}"


def mask_polygons(mask: MaskCrop, tolerance: float) -> MaskPolygons:
    """Convert a mask to polygons, one per part; holes are connected to the nearest corner by a line.

    Args:
        tolerance: maximum distance from the mask outline in pixels. 0.35, half of √½, straightens staircases and
            changes almost no pixel.
    """
    bits, parts = remove_small_regions(mask.bits, SMALLEST, keep_largest=True)
    bits, holes = fill_holes(bits, SMALLEST)
    found = [join(rings) + np.array([mask.x, mask.y]) for rings in _rings(bits, tolerance)]
    polygons = [ring.ravel().tolist() for ring in found]
    return MaskPolygons(polygons, _iou(mask, polygons), parts + holes)


def _rings(bits: np.ndarray, tolerance: float) -> list[list[np.ndarray]]:
    """The outlines of each part of a mask and of its holes, float (n, 2), n >= 3."""
    # Upsampled twice: contours run through the centers of the outermost quarter pixels.
    quarters = bits.astype(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, hierarchy = cv2.findContours(quarters, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    parts: dict[int, list[np.ndarray]] = {}
    for number, contour in enumerate(contours):
        parent = int(hierarchy[0][number][3])
        ring = (_simplified(contour, 2 * tolerance) + 0.5) / 2
        parts.setdefault(number if parent < 0 else parent, []).insert(0 if parent < 0 else len(contours), ring)
    return list(parts.values())


def _simplified(contour: np.ndarray, tolerance: float) -> np.ndarray:
    """Simplify a contour (m, 1, 2) to at least 3 corners (n, 2); the tolerance is halved for thin shapes."""
    ring = cv2.approxPolyDP(contour, tolerance, True)
    while len(ring) < 3:
        tolerance /= 2
        ring = cv2.approxPolyDP(contour, tolerance, True)
    return np.asarray(ring[:, 0], np.float64)


def join(rings: Sequence[np.ndarray]) -> np.ndarray:
    """Join rings (n, 2) into one by lines between nearest corners, there and back.

    It starts with the first ring. The lines are a minimum spanning tree of the rings.
    """
    tree = _nearest_first(rings) if len(rings) <= FEW else _spanning_tree(rings)
    joined_to: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)  # (ring, own corner) by (ring, corner)
    for place, ring in tree:
        joined_to[place].append(ring)

    def outline(ring: int, first: int) -> Iterator[np.ndarray | tuple[int, int]]:
        """Yield the corners of a ring from `first` on, each followed by the rings joined to it, the latest first."""
        corners = rings[ring]
        for corner in (*range(first, len(corners)), *range(first)):
            yield corners[corner]
            for other in reversed(joined_to[ring, corner]):
                yield other
                yield corners[corner]
        if ring:  # the outermost ring is closed implicitly
            yield corners[first]

    made: list[np.ndarray] = []
    outlines = [outline(0, 0)]  # no recursion, whose depth could be the number of rings
    while outlines:
        item = next(outlines[-1], None)
        if item is None:
            outlines.pop()
        elif isinstance(item, tuple):
            outlines.append(outline(*item))
        else:
            made.append(item)
    return np.array(made)


Edge: TypeAlias = tuple[tuple[int, int], tuple[int, int]]  # (parent ring, its corner), (joined ring, its corner)


def _nearest_first(rings: Sequence[np.ndarray]) -> Iterator[Edge]:
    """Minimum spanning tree of rings by all distances: quadratic in the number of rings."""
    added = 0
    nearest: dict[int, tuple[float, int, tuple[int, int]]] = {}  # distance, own corner, (other ring, its corner)
    left = list(range(1, len(rings)))
    while left:
        for number in left:
            distance, own, other = _nearest(rings[number], rings[added])
            if number not in nearest or distance < nearest[number][0]:
                nearest[number] = distance, own, (added, other)
        added = min(left, key=lambda n: nearest[n][0])
        left.remove(added)
        _, own, place = nearest[added]
        yield place, (added, own)


def _spanning_tree(rings: Sequence[np.ndarray]) -> Iterator[Edge]:
    """The same in O(n log n): a minimum spanning tree of points is a subgraph of their Delaunay triangulation."""
    from scipy.spatial import Delaunay

    points = np.concatenate(rings)
    owner = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    corner = np.concatenate([np.arange(len(ring)) for ring in rings])
    # Corners with equal coordinates are merged. A box is added, as collinear points have no triangulation.
    unique, first, inverse = np.unique(points, axis=0, return_index=True, return_inverse=True)
    box = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]) * 4 * (1 + np.abs(points).max())
    triangles = Delaunay(np.concatenate([unique, box])).simplices
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = first[pairs[(pairs < len(unique)).all(axis=1)]]
    pairs = np.concatenate([pairs, np.stack([first[inverse.ravel()], np.arange(len(points))], axis=1)])
    pairs = pairs[owner[pairs[:, 0]] != owner[pairs[:, 1]]]
    distances = ((points[pairs[:, 0]] - points[pairs[:, 1]]) ** 2).sum(axis=1)
    edges: dict[int, list[tuple[float, int, int]]] = defaultdict(list)
    for distance, (one, other) in zip(distances.tolist(), pairs.tolist(), strict=True):
        edges[owner[one]].append((distance, one, other))
        edges[owner[other]].append((distance, other, one))
    known, reached = {0}, edges[0]
    heapify(reached)
    while reached:
        _, one, other = heappop(reached)
        if owner[other] not in known:
            known.add(owner[other])
            yield (int(owner[one]), int(corner[one])), (int(owner[other]), int(corner[other]))
            for edge in edges[owner[other]]:
                heappush(reached, edge)


def _nearest(ring: np.ndarray, other: np.ndarray) -> tuple[float, int, int]:
    """The smallest squared distance between corners of two rings, and the indices of these corners."""
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
