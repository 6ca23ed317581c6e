"""Masks as polygons, for formats without RLE.

Readers draw polygons in two ways. `pycocotools`, and CVAT with it, sets the pixels whose centers are inside; OpenCV
and Pillow, and so ultralytics, supervision and labelme, set every pixel that the outline touches. An outline along the
borders of the pixels is right for the first and a pixel too large for the others; one through their centers is right
for the others and half a pixel too small for the first. Here it runs between the two, a quarter of a pixel inside the
border, which gives all of them the same pixels.
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

SMALLEST = 10  # pixels; parts and holes of fewer are skipped
BLOCK = 1_000_000  # distances that are looked at together
FEW = 100  # rings, of which all distances are looked at


class MaskPolygons(NamedTuple):
    """A mask as polygons.

    Attributes:
        parts: x, y, x, y, … of each part, in pixels from the upper left corner of the image.
        iou: of the mask and the polygons, as `pycocotools` draws them; 1 where both are empty.
        dropped: how many parts and holes of the mask were too small.
    """

    parts: list[list[float]]
    iou: float
    dropped: int

    def record(self) -> Polygons:
        """As a run keeps them beside an annotation."""
        return {"parts": self.parts, "iou": round(self.iou, DECIMALS), "dropped": self.dropped}


@dataclass(slots=True)
class PolygonCost:
    """What polygons cost the masks of a run."""

    masks: int = 0
    ious: float = 0.0
    lowest: float = 1.0
    dropped: int = 0

    def add(self, annotations: Iterable[Annotation]) -> None:
        """Count annotations, as far as they have polygons."""
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
    """A mask as polygons, a part each; holes are cut open by a line to the nearest corner around them.

    Args:
        tolerance: how far an outline may be from the mask's, in pixels. Half a square root of a half, 0.35, makes
            stairs straight and changes next to no pixel.
    """
    bits, parts = remove_small_regions(mask.bits, SMALLEST, keep_largest=True)
    bits, holes = fill_holes(bits, SMALLEST)
    found = [join(rings) + np.array([mask.x, mask.y]) for rings in _rings(bits, tolerance)]
    polygons = [ring.ravel().tolist() for ring in found]
    return MaskPolygons(polygons, _iou(mask, polygons), parts + holes)


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

    The first is where it begins. Each of the others is joined to what is nearest to it of those that are joined: the
    lines are a minimum spanning tree.
    """
    tree = _nearest_first(rings) if len(rings) <= FEW else _spanning_tree(rings)
    joined_to: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)  # rings with a corner, by such
    for place, ring in tree:
        joined_to[place].append(ring)

    def outline(ring: int, first: int) -> Iterator[np.ndarray | tuple[int, int]]:
        """Corners from one on, and after each the rings that are joined to it, the latest first."""
        corners = rings[ring]
        for corner in (*range(first, len(corners)), *range(first)):
            yield corners[corner]
            for other in reversed(joined_to[ring, corner]):
                yield other
                yield corners[corner]
        if ring:  # the outermost is closed by those who read it
            yield corners[first]

    made: list[np.ndarray] = []
    outlines = [outline(0, 0)]  # not by recursion, which may be as deep as there are rings
    while outlines:
        item = next(outlines[-1], None)
        if item is None:
            outlines.pop()
        elif isinstance(item, tuple):
            outlines.append(outline(*item))
        else:
            made.append(item)
    return np.array(made)


Edge: TypeAlias = tuple[tuple[int, int], tuple[int, int]]  # a ring and its corner, and those of what is joined to it


def _nearest_first(rings: Sequence[np.ndarray]) -> Iterator[Edge]:
    """Edges of a minimum spanning tree of rings, by all distances: quadratic in the number of rings."""
    added = 0
    nearest: dict[int, tuple[float, int, tuple[int, int]]] = {}  # distance, own corner, and the other ring's
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
    """The same in n log n: a minimum spanning tree of points is part of their Delaunay triangulation."""
    from scipy.spatial import Delaunay

    points = np.concatenate(rings)
    owner = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    corner = np.concatenate([np.arange(len(ring)) for ring in rings])
    # Coordinates that several corners have are one point of the triangulation; what lies on a line has none.
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
