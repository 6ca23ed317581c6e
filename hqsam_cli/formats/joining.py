"""Rings joined into one outline, for formats without holes or without parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import TypeAlias

import numpy as np

Edge: TypeAlias = tuple[tuple[int, int], tuple[int, int]]  # (parent ring, its corner), (joined ring, its corner)


def join(rings: Sequence[np.ndarray]) -> np.ndarray:
    """Join rings (n, 2) into one by lines between nearest corners, there and back.

    It starts with the first ring. The lines are a minimum spanning tree of the rings.
    """
    if len(rings) == 1:
        return rings[0]
    joined_to: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)  # (ring, own corner) by (ring, corner)
    for place, ring in spanning_tree(rings):
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


def spanning_tree(rings: Sequence[np.ndarray]) -> Iterator[Edge]:
    """The lines of `join`, in O(n log n): the minimum spanning tree is a subgraph of the Delaunay triangulation.

    Args:
        rings: two or more.
    """
    from scipy.spatial import Delaunay

    points = np.concatenate(rings)
    owner = [number for number, ring in enumerate(rings) for _ in ring]
    corner = [number for ring in rings for number in range(len(ring))]
    # Corners with equal coordinates are merged. A box is added, as collinear points have no triangulation.
    unique, first, inverse = np.unique(points, axis=0, return_index=True, return_inverse=True)
    box = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]) * 4 * (1 + np.abs(points).max())
    triangles = Delaunay(np.concatenate([unique, box])).simplices
    pairs = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    pairs = first[pairs[(pairs < len(unique)).all(axis=1)]]
    pairs = np.concatenate([pairs, np.stack([first[inverse.ravel()], np.arange(len(points))], axis=1)])
    pairs = pairs[np.take(owner, pairs[:, 0]) != np.take(owner, pairs[:, 1])]
    distances = ((points[pairs[:, 0]] - points[pairs[:, 1]]) ** 2).sum(axis=1)
    edges: dict[int, list[tuple[float, int, int]]] = defaultdict(list)  # from a ring: length, its point, the other
    for distance, (one, other) in zip(distances.tolist(), pairs.tolist(), strict=True):
        edges[owner[one]].append((distance, one, other))
        edges[owner[other]].append((distance, other, one))
    known: set[int] = set()
    reached: list[tuple[float, int, int, int, int]] = []  # of equal lengths, to the first ring from the earliest one

    def reach(ring: int) -> None:
        for distance, one, other in edges[ring]:
            heappush(reached, (distance, owner[other], len(known), other, one))
        known.add(ring)

    reach(0)
    while reached:
        _, ring, _, other, one = heappop(reached)
        if ring not in known:
            yield (owner[one], corner[one]), (ring, corner[other])
            reach(ring)
