"""Polygons of masks, drawn again in the ways of those who read them."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw
from pycocotools import mask as coco_mask

from hqsam_cli.configs import DEFAULT_TOLERANCE as TOLERANCE
from hqsam_cli.formats.polygons import SMALLEST, PolygonCost, mask_polygons
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


Draw = Callable[[list[list[float]], int, int], np.ndarray]


@pytest.mark.parametrize(
    ("draw", "form"), [(by_coco, "coco"), (by_coco, "cvat"), (by_opencv, ""), (by_pillow, "labelme")]
)
@pytest.mark.parametrize("name", drawn())
def test_every_reader_draws_the_mask_again(draw: Draw, form: str, name: str) -> None:
    mask = drawn()[name]
    polygons = mask_polygons(mask, TOLERANCE, [form] if form else [])
    again = draw(polygons["parts"], mask.width, mask.height)
    assert iou(again, mask.full()) > 0.99
    assert polygons["ious"] == ({form: pytest.approx(iou(again, mask.full()), abs=1e-6)} if form else {})


@pytest.mark.parametrize("draw", [by_coco, by_opencv])
def test_without_any_tolerance_no_pixel_is_another(draw: Draw) -> None:
    blobs = cv2.GaussianBlur(np.random.default_rng(0).random((90, 110)), (0, 0), 3) > 0.5
    blobs = fill_holes(remove_small_regions(blobs, SMALLEST, keep_largest=False)[0], SMALLEST)[0]
    mask = crop(blobs)
    polygons = mask_polygons(mask, 0, [])
    assert (len(polygons["parts"]) > 3, polygons["dropped"]) == (True, 0)
    assert np.array_equal(draw(polygons["parts"], mask.width, mask.height), blobs)


def test_a_pixel_a_line_and_a_corner_to_corner_are_kept() -> None:
    for bits in (np.ones((1, 1), bool), np.ones((1, 40), bool), np.eye(30, dtype=bool)):
        mask = MaskCrop(bits, 3, 5, 60, 60)
        coarse = mask_polygons(mask, 5, ["coco"])
        (part,) = coarse["parts"]
        assert len(part) >= 6
        assert coarse["ious"]["coco"] > 0
        assert mask_polygons(mask, 0, ["coco"])["ious"] == {"coco": 1}


def test_small_parts_and_holes_are_left_out_and_counted() -> None:
    shapes = drawn()
    for name, count in (("parts", 3), ("wheel", 1)):  # a speck beside the parts, one in the wheel
        polygons = mask_polygons(shapes[name], TOLERANCE, [])
        assert (len(polygons["parts"]), polygons["dropped"]) == (count, 1)


def test_a_larger_tolerance_has_fewer_corners_and_costs_more() -> None:
    mask = drawn()["wheel"]
    near, far = (mask_polygons(mask, tolerance, ["coco"]) for tolerance in (TOLERANCE, 2))
    assert len(far["parts"][0]) < len(near["parts"][0]) / 2
    ious = [polygons["ious"]["coco"] for polygons in (near, far)]
    assert ious[1] < ious[0]
    cost = PolygonCost()
    cost.add([{"polygons": near}, {"polygons": far}, {"id": 1}])
    assert cost.lines() == [
        f"polygons in coco: mean IoU with the masks {sum(ious) / 2:.4f}, lowest {ious[1]:.4f}",
        f"parts and holes of fewer than {SMALLEST} pixels skipped: 2",
    ]


def test_the_figure_is_of_what_a_format_delivers() -> None:
    """YOLO has lines between parts, which the others do not have."""
    part = np.zeros((20, 20), bool)
    part[4:8, 4:8] = True
    mask = crop(np.tile(part, (20, 20)))
    ious = mask_polygons(mask, TOLERANCE, ["coco", "labelme", "yolo-seg"])["ious"]
    assert ious["coco"] == ious["labelme"] == 1
    assert ious["yolo-seg"] < 0.6


def test_nothing_is_no_polygon() -> None:
    polygons = mask_polygons(MaskCrop(np.zeros((0, 0), bool), 0, 0, 9, 9), TOLERANCE, ["yolo-seg"])
    assert polygons == {"parts": [], "ious": {"yolo-seg": 1.0}, "dropped": 0}
