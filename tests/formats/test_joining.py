"""Rings joined into one outline."""

from __future__ import annotations

import numpy as np
import pytest

from hqsam_cli.formats.joining import join, spanning_tree


def test_rings_are_joined_at_their_nearest_corners() -> None:
    square = np.array([[0, 0], [0, 9], [9, 9], [9, 0]], float)
    joined = join([square, square + np.array([20, 0]), square + np.array([11, 0])])
    steps = np.abs(np.diff(joined, axis=0)).sum(axis=1)
    assert sorted(steps[steps != 9]) == [0, 0, 2, 2]
    assert set(map(tuple, joined.tolist())) == {(x, y) for x in (0, 9, 11, 20, 29) for y in (0, 9)}


def squares(count: int) -> list[np.ndarray]:
    """Small rectangles in a large field; some touch, and some have corners in common."""
    random = np.random.default_rng(0)
    corners = random.integers(0, 40 * int(count**0.5), (count, 2)).astype(float)
    sizes = random.integers(1, 9, (count, 2))
    return [
        np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])
        for (x, y), (w, h) in zip(corners, sizes, strict=True)
    ]


@pytest.mark.parametrize("count", [2, 3, 30, 90])
def test_the_lines_are_as_short_as_lines_can_be(count: int) -> None:
    rings = squares(count)
    edges = list(spanning_tree(rings))
    distances = np.array([[np.hypot(*(a[:, None] - b).T).min() for a in rings] for b in rings])
    reached, total = {0}, 0.0
    while len(reached) < count:
        left = [n for n in range(count) if n not in reached]
        between = distances[np.ix_(sorted(reached), left)]
        total += between.min()
        reached.add(left[int(between.argmin()) % len(left)])
    assert sum(np.hypot(*(rings[a][i] - rings[b][j])) for (a, i), (b, j) in edges) == pytest.approx(total)
    assert {ring for _, (ring, _) in edges} == set(range(1, count))


def test_an_outline_of_thousands_of_parts_passes_all_corners_of_each() -> None:
    rings = squares(3000)
    joined = join(rings)
    assert len(joined) == sum(map(len, rings)) + 2 * (len(rings) - 1)
    assert {tuple(corner) for corner in joined.tolist()} == {tuple(c) for ring in rings for c in ring.tolist()}
