"""Polygons of masks, drawn again in the ways of those who read them."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from hqsam_cli.configs import DEFAULT_TOLERANCE as TOLERANCE
from hqsam_cli.formats.polygons import (
    SMALLEST,
    Edge,
    PolygonCost,
    _nearest_first,
    _spanning_tree,
    join,
    mask_polygons,
)
from hqsam_cli.inference.regions import fill_holes, remove_small_regions
from hqsam_cli.records import MaskCrop
from tests.formats.shapes import crop, drawn, iou


def by_coco(parts: list[list[float]], width: int, height: int) -> np.ndarray:
    return np.asarray(coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(parts, height, width))))


def by_opencv(parts: list[list[float]], width: int, height: int) -> np.ndarray:
    canvas = np.zeros((height, width), np.uint8)
    for part in parts:
        cv2.fillPoly(canvas, [np.array(part).reshape(-1, 2).astype(np.int32)], [1])
    return canvas


def by_pillow(parts: list[list[float]], width: int, height: int) -> np.ndarray:
    canvas = Image.new("L", (width, height))
    for part in parts:
        ImageDraw.Draw(canvas).polygon(list(zip(part[::2], part[1::2], strict=True)), outline=1, fill=1)
    return np.asarray(canvas)


@pytest.mark.parametrize("draw", [by_coco, by_opencv, by_pillow])
@pytest.mark.parametrize("name", drawn())
def test_every_reader_draws_the_mask_again(draw: object, name: str) -> None:
    mask = drawn()[name]
    parts, claimed, _ = mask_polygons(mask, TOLERANCE)
    again = draw(parts, mask.width, mask.height)  # type: ignore[operator]
    assert iou(again, mask.full()) > 0.99
    if draw is by_coco:
        assert claimed == pytest.approx(iou(again, mask.full()))


@pytest.mark.parametrize("draw", [by_coco, by_opencv])
def test_without_any_tolerance_no_pixel_is_another(draw: object) -> None:
    blobs = cv2.GaussianBlur(np.random.default_rng(0).random((90, 110)), (0, 0), 3) > 0.5
    blobs = fill_holes(remove_small_regions(blobs, SMALLEST, keep_largest=False)[0], SMALLEST)[0]
    mask = crop(blobs)
    parts, _, dropped = mask_polygons(mask, 0)
    assert (len(parts) > 3, dropped) == (True, 0)
    assert np.array_equal(draw(parts, mask.width, mask.height), blobs)  # type: ignore[operator]


def test_a_pixel_a_line_and_a_corner_to_corner_are_kept() -> None:
    for bits in (np.ones((1, 1), bool), np.ones((1, 40), bool), np.eye(30, dtype=bool)):
        mask = MaskCrop(bits, 3, 5, 60, 60)
        (part,), found, _ = mask_polygons(mask, 5)
        assert len(part) >= 6
        assert found > 0
        assert mask_polygons(mask, 0).iou == 1


def test_small_parts_and_holes_are_left_out_and_counted() -> None:
    shapes = drawn()
    for name, count in (("parts", 3), ("wheel", 1)):  # a speck beside the parts, one in the wheel
        parts, _, dropped = mask_polygons(shapes[name], TOLERANCE)
        assert (len(parts), dropped) == (count, 1)


def test_a_larger_tolerance_has_fewer_corners_and_costs_more() -> None:
    mask = drawn()["wheel"]
    near, far = mask_polygons(mask, TOLERANCE), mask_polygons(mask, 2)
    assert len(far.parts[0]) < len(near.parts[0]) / 2
    assert far.iou < near.iou
    cost = PolygonCost()
    cost.add([{"polygons": near.record()}, {"polygons": far.record()}, {"id": 1}])
    assert cost.masks == 2
    assert cost.lowest == pytest.approx(far.iou, abs=1e-6)
    assert f"mean IoU with the masks {(near.iou + far.iou) / 2:.4f}" in str(cost)
    assert f"2 parts and holes of fewer than {SMALLEST} pixels" in str(cost)


def test_nothing_is_no_polygon() -> None:
    assert mask_polygons(MaskCrop(np.zeros((0, 0), bool), 0, 0, 9, 9), TOLERANCE) == ([], 1.0, 0)


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
def test_many_rings_are_joined_by_lines_as_short_as_few_are(count: int) -> None:
    rings = squares(count)

    def length(edges: Iterable[Edge]) -> float:
        return sum(float(np.hypot(*(rings[a][i] - rings[b][j]))) for (a, i), (b, j) in edges)

    assert length(_spanning_tree(rings)) == pytest.approx(length(_nearest_first(rings)))
    assert {ring for _, (ring, _) in _spanning_tree(rings)} == set(range(1, count))


def test_an_outline_of_thousands_of_parts_passes_all_corners_of_each() -> None:
    rings = squares(3000)
    joined = join(rings)
    assert len(joined) == sum(map(len, rings)) + 2 * (len(rings) - 1)
    assert {tuple(corner) for corner in joined.tolist()} == {tuple(c) for ring in rings for c in ring.tolist()}
