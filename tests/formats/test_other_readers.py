"""What we write, opened by the programs that it is for."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from hqsam_cli.detection.yolo import ultralytics
from hqsam_cli.formats.coco import RunRecords, make_detection, write_coco, write_results
from hqsam_cli.formats.yolo import YoloWriter
from hqsam_cli.records import Category, ImageRecord, Instance, MaskCrop, Prompt
from tests.formats.readers import ask_readers
from tests.formats.shapes import written

CATEGORIES: list[Category] = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
NAMES = ("a.jpg", "sub/b.jpg")
WIDTH, HEIGHT = 60, 40
COCO_MASKS = """
import datumaro, json, sys
items = datumaro.Dataset.import_from(sys.argv[1], "coco_instances")
masks = [[a for a in item.annotations if a.type == datumaro.AnnotationType.mask] for item in items]
print(json.dumps([[(a.label, a.image.astype(int).tolist()) for a in own] for own in masks]))
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "images" / name)
    return tmp_path / "images"


def mask(n: int) -> np.ndarray:
    full = np.zeros((HEIGHT, WIDTH), bool)
    full[5 : 15 + n, 10 : 30 + n] = True
    return full


def masks() -> RunRecords:
    """A mask of each category in each of two images."""
    records = []
    for image_id, name in enumerate(NAMES, 7):
        own = [
            Instance(Prompt(10 * image_id + n, n, score=0.5), MaskCrop(mask(n), 0, 0, WIDTH, HEIGHT), 0.9)
            for n in (1, 2)
        ]
        annotations = [instance.to_coco(image_id) for instance in own]
        records.append(ImageRecord(name, image_id, (WIDTH, HEIGHT), annotations))
    return RunRecords(lambda: records, CATEGORIES)


def boxes() -> RunRecords:
    """A box of each category in each of two images."""
    records = []
    for image_id, name in enumerate(NAMES, 7):
        found = [Prompt(10 * image_id + n, n, box=(10.0, 5.0, 30.0 + n, 15.0 + n), score=0.25 * n) for n in (1, 2)]
        annotations = [make_detection(prompt, image_id, CATEGORIES[prompt.category_id - 1]["name"]) for prompt in found]
        records.append(ImageRecord(name, image_id, (WIDTH, HEIGHT), annotations))
    return RunRecords(lambda: records, CATEGORIES)


def test_results_beside_the_truth_they_belong_to(tmp_path: Path) -> None:
    write_coco(tmp_path / "truth.json", masks())
    write_results(tmp_path / "results.json", boxes())
    loaded = COCO(str(tmp_path / "truth.json")).loadRes(str(tmp_path / "results.json"))
    assert sorted((a["image_id"], a["category_id"]) for a in loaded.anns.values()) == [(7, 1), (7, 2), (8, 1), (8, 2)]


def test_labels_that_ultralytics_takes_for_training(tmp_path: Path, photos: Path) -> None:
    ultralytics()  # before its parts, so that it leaves other libraries alone
    from ultralytics.data.utils import verify_image_label

    written(YoloWriter, boxes(), tmp_path / "labels")
    for name in NAMES:
        label = (tmp_path / "labels" / name).with_suffix(".txt")
        assert all(len(line.split()) == 5 for line in label.read_text().splitlines())
        checked: Any = verify_image_label((str(photos / name), str(label), "", False, 2, 0, 0, False))
        path, rows, shape, _, _, missing, found, empty, corrupt, message = checked
        assert (missing, found, empty, corrupt, message) == (0, 1, 0, 0, "")
        assert (Path(path), tuple(shape)) == (photos / name, (HEIGHT, WIDTH))
        assert rows[:, 0].tolist() == [0, 1]
        assert rows[0, 1:] * [WIDTH, HEIGHT, WIDTH, HEIGHT] == pytest.approx([20.5, 10.5, 21, 11], abs=1e-4)
    written(partial(YoloWriter, confidence=True), boxes(), tmp_path / "scored")
    assert [line.split()[-1] for line in (tmp_path / "scored/a.txt").read_text().splitlines()] == ["0.25", "0.5"]


def test_supervision_reads_masks_and_labels(tmp_path: Path, photos: Path) -> None:
    supervision = pytest.importorskip("supervision")
    write_coco(tmp_path / "instances.json", masks())
    data = supervision.DetectionDataset.from_coco(str(photos), str(tmp_path / "instances.json"), force_masks=True)
    assert data.classes == ["cat", "dog"] and len(data) == 2
    for _, _, found in data:
        assert found.class_id.tolist() == [0, 1]
        assert np.array_equal(found.mask, [mask(1), mask(2)])


def test_datumaro_reads_masks_and_labels(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "coco/annotations").mkdir(parents=True)
    write_coco(tmp_path / "coco/annotations/instances_val.json", masks())
    photos.rename(tmp_path / "coco/images")
    items = ask_readers(COCO_MASKS, tmp_path / "coco")
    assert len(items) == 2
    for item in items:
        found = dict(item)
        assert [np.array_equal(found[label], mask(label + 1)) for label in (0, 1)] == [True, True]


def test_what_is_written_is_plain_json(tmp_path: Path) -> None:
    write_coco(tmp_path / "x.json", RunRecords(masks().records, CATEGORIES, {"model": "lite"}))
    document = json.loads((tmp_path / "x.json").read_text())
    assert document["info"]["model"] == "lite" and len(document["annotations"]) == 4
