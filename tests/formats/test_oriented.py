"""Oriented boxes around masks: YOLO labels that ultralytics trains on, and boxes of CVAT, read again as prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from hqsam_cli.formats import WRITERS
from hqsam_cli.formats.coco import RunRecords
from hqsam_cli.formats.oriented import oriented_box
from hqsam_cli.prompts.boxes import rotated_corners
from hqsam_cli.prompts.read import read_prompt_file
from hqsam_cli.records import Annotation, ImageRecord, Instance, MaskCrop, Prompt
from tests.formats.shapes import a_run, drawn, written

SIDE = 200
CENTER, SIZE, DEGREES = (95.0, 110.0), (120.0, 30.0), 25.0


def annotation(number: int, mask: np.ndarray) -> Annotation:
    return Instance(Prompt(number, 4), MaskCrop.whole(mask), 0.9).to_coco(1)


def turned() -> np.ndarray:
    """A bar turned clockwise, as a mask."""
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    corners = cv2.boxPoints((CENTER, SIZE, DEGREES))
    cv2.fillPoly(canvas, [np.round((corners - 0.5) * 16).astype(np.int32)], 1, shift=4)
    return canvas.astype(bool)


def a_turned_run(folder: Path) -> RunRecords:
    """A photo with the bar, an upright box, a pixel and an empty mask."""
    path = folder / "a.jpg"
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), np.zeros((SIDE, SIDE, 3), np.uint8))
    masks = [turned(), *(np.zeros((SIDE, SIDE), bool) for _ in range(3))]
    masks[1][50:70, 10:20] = True
    masks[2][199, 0] = True
    annotations = [annotation(number, mask) for number, mask in enumerate(masks, 1)]
    record = ImageRecord("a.jpg", 1, (SIDE, SIDE), annotations, path=str(path))
    return RunRecords(lambda: iter([record]), [{"id": 4, "name": "bar"}], {}, "rle")


def test_the_rectangle_of_least_area() -> None:
    box = oriented_box(annotation(1, turned())["segmentation"], SIDE, SIDE)
    assert box is not None
    assert box.center == pytest.approx(CENTER, abs=1) and sorted(box.size) == pytest.approx(sorted(SIZE), abs=2.5)
    long_side = box.degrees if box.size[0] > box.size[1] else box.degrees + 90
    assert long_side == pytest.approx(DEGREES, abs=1)
    (x, y), (w, h) = box.center, box.size
    own = rotated_corners((x - w / 2, y - h / 2, x + w / 2, y + h / 2), box.degrees)  # clockwise, as prompts are read
    corners = sorted(map(tuple, box.corners().tolist()))
    assert sorted(zip(own[::2], own[1::2], strict=True)) == [pytest.approx(point, abs=1e-3) for point in corners]


def test_labels_of_oriented_boxes_are_read_again_as_prompts(tmp_path: Path) -> None:
    folder = written(WRITERS["yolo-obb"], a_turned_run(tmp_path / "imgs"), tmp_path)
    lines = [line.split() for line in (folder / "labels/a.txt").read_text().splitlines()]
    assert [len(fields) for fields in lines] == [9, 9, 9]
    boxes = [np.array(a.value) * SIDE for a in read_prompt_file(str(folder), "box").annotations]
    y, x = np.nonzero(turned())
    assert np.abs(boxes[0] - [x.min(), y.min(), x.max() + 1, y.max() + 1]).max() < 2
    assert boxes[1] == pytest.approx((10, 50, 20, 70), abs=1e-3) and boxes[2] == pytest.approx(
        (0, 199, 1, 200), abs=1e-3
    )


def test_rotated_boxes_of_cvat_are_read_again_as_prompts(tmp_path: Path) -> None:
    path = written(WRITERS["cvat-obb"], a_turned_run(tmp_path / "imgs"), tmp_path)
    rotations = [float(box.get("rotation") or 0) for box in ElementTree.parse(path).iter("box")]
    assert len(rotations) == 3 and 0 < rotations[0] < 90 and rotations[1:] == [0, 0]
    first, second, third = (a.value for a in read_prompt_file(str(path), "box").annotations)
    y, x = np.nonzero(turned())
    assert first == pytest.approx((x.min(), y.min(), x.max() + 1, y.max() + 1), abs=2)
    assert second == pytest.approx((10, 50, 20, 70)) and third == pytest.approx((0, 199, 1, 200))


def test_ultralytics_takes_oriented_boxes_for_training(tmp_path: Path) -> None:
    from hqsam_cli.detection.yolo import ultralytics

    ultralytics()
    from ultralytics.cfg import get_cfg
    from ultralytics.data.build import build_yolo_dataset
    from ultralytics.data.utils import check_det_dataset

    folder = written(WRITERS["yolo-obb"], a_run(tmp_path / "imgs", ("a.jpg",)), tmp_path / "out")
    data = check_det_dataset(str(folder / "data.yaml"), autodownload=False)
    options: Any = get_cfg(overrides={"task": "obb"})
    dataset: Any = build_yolo_dataset(options, data["val"], 1, data, mode="val")
    (label,) = dataset.labels
    assert len(label["segments"]) == len(drawn()) and label["cls"].ravel().tolist() == [0, 1, 0, 1, 0]
