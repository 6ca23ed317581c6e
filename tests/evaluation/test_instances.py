"""What instance sets are made of, and results of their images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hqsam_cli.errors import HqsamError, ImageError
from hqsam_cli.evaluation.coco_set import CocoSet, read_coco_set
from hqsam_cli.evaluation.instances import InstanceTask
from hqsam_cli.evaluation.scores import ImageScores, empty_notes
from hqsam_cli.records import Prompt

from .conftest import KnownMasks, dataset, encoded

HEIGHT, WIDTH = 96, 128


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One image with two filled boxes of gt and a crowd."""
    cv2.imwrite(str(tmp_path / "1.jpg"), np.full((HEIGHT, WIDTH, 3), 80, np.uint8))
    annotations = []
    for n, (x, y, w, h) in enumerate([(10, 10, 40, 30), (60, 20, 30, 50), (0, 0, 20, 20)], 1):
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[y : y + h, x : x + w] = True
        annotations.append(
            {
                "id": n,
                "image_id": 1,
                "category_id": 1,
                "bbox": [x, y, w, h],
                "area": w * h,
                "iscrowd": int(n == 3),
                "segmentation": encoded(mask),
            }
        )
    document = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": WIDTH, "height": HEIGHT}],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "box"}],
    }
    (tmp_path / "a.json").write_text(json.dumps(document))
    return tmp_path


def score_first(coco_set: CocoSet, evaluator: KnownMasks, *, from_gt: bool) -> ImageScores:
    images = coco_set.images
    task = InstanceTask(key="own", items=images, evaluator=evaluator, coco_set=coco_set, from_gt=from_gt)
    return task.score(images[0], task.load(images[0]))


def test_boxes_of_the_gt_score_each_object(folder: Path, box_filler: KnownMasks) -> None:
    coco_set = read_coco_set(dataset(folder), None)
    assert len(coco_set.images[0].boxes) == 2, "a crowd is no prompt"
    image = score_first(coco_set, box_filler, from_gt=True)
    sam, both = image.scores
    assert [(own["IoU"], own["BIoU"]) for own in both.objects] == [(1.0, 1.0)] * 2
    assert [own["IoU"] for own in sam.objects] == [pytest.approx(0.5)] * 2
    assert [detection["score"] for detection in image.detections["sum"]] == [0.5, 0.5]


def test_a_detectors_score_is_multiplied_by_sams(folder: Path, box_filler: KnownMasks) -> None:
    detections = folder / "dets.json"
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 30], "score": 0.8}]
    detections.write_text(json.dumps(boxes))
    image = score_first(read_coco_set(dataset(folder), detections), box_filler, from_gt=False)
    (detection,) = image.detections["sum"]
    assert detection["score"] == pytest.approx(0.4)
    assert coco_mask.decode(detection["segmentation"]).sum() == 40 * 30
    assert [score.objects for score in image.scores] == [[], []]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"image_id": 9, "bbox": [0, 0, 1, 1]}]', "1 of its image ids are not of this data set .first: 9"),
        ("[1]", "contains no list of results"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1], "score": 1}]', "result 1 needs a bbox of four"),
        ('[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": NaN}]', "four numbers and a score"),
        (
            '[{"image_id": 1, "category_id": 99, "bbox": [0, 0, 1, 1], "score": 1}]',
            "category_id 99, which the data set",
        ),
        ("{", "is not JSON"),
    ],
)
def test_detections_of_something_else(folder: Path, content: str, message: str) -> None:
    (folder / "dets.json").write_text(content)
    with pytest.raises(HqsamError, match=message):
        read_coco_set(dataset(folder), folder / "dets.json")


@pytest.mark.parametrize(
    ("place", "changes", "message"),
    [
        ("images", {"file_name": None}, "no file_name"),
        ("images", {"id": None}, "image 1 has no id"),
        ("annotations", {"image_id": 77}, "images that it does not list"),
        ("annotations", {"category_id": None}, "annotation 1 has no category_id"),
        ("annotations", {"category_id": 99}, "annotation 1 has a category_id that it does not list"),
    ],
)
def test_what_a_data_set_lacks_is_said_at_once(folder: Path, place: str, changes: dict[str, Any], message: str) -> None:
    document = json.loads((folder / "a.json").read_text())
    document[place][0] |= changes
    (folder / "a.json").write_text(json.dumps(document))
    with pytest.raises(HqsamError, match=message):
        read_coco_set(dataset(folder), None)


@pytest.mark.parametrize("shape", [None, [], [[1, 2, 3, 4]]])
def test_an_object_without_a_mask_is_left_out_and_counted(folder: Path, shape: Any) -> None:
    document = json.loads((folder / "a.json").read_text())
    whole = len(document["annotations"])
    document["annotations"].append({**document["annotations"][0], "id": 99, "segmentation": shape})
    (folder / "a.json").write_text(json.dumps(document))
    found = read_coco_set(dataset(folder), None)
    assert sum(len(image.objects) for image in found.images) == whole
    assert "annotations without a box and a mask, skipped: 1 (annotation 99)" in found.problems[0]


@pytest.mark.parametrize("sized", [True, False])
def test_the_area_of_an_object_without_one_is_that_of_its_mask(folder: Path, sized: bool) -> None:
    document = json.loads((folder / "a.json").read_text())
    line = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.line(line, (0, 0), (WIDTH - 1, HEIGHT - 1), 1, 3)
    for annotation in document["annotations"]:
        del annotation["area"]
    document["annotations"][0]["segmentation"] = encoded(line)
    document["annotations"][0]["bbox"] = [0, 0, WIDTH, HEIGHT]
    document["annotations"][1]["segmentation"] = [[60, 20, 90, 20, 60, 70]]
    if not sized:
        del document["images"][0]["width"]
    (folder / "a.json").write_text(json.dumps(document))
    (image,) = read_coco_set(dataset(folder), None).images
    triangle = coco_mask.decode(coco_mask.frPyObjects([[60, 20, 90, 20, 60, 70]], HEIGHT, WIDTH)).sum()
    assert [item.area for item in image.objects] == [line.sum(), triangle, 20 * 20]
    assert line.sum() < 32**2 < WIDTH * HEIGHT


def test_empty_masks_of_the_model_are_said(folder: Path) -> None:
    def rule(image: np.ndarray, prompt: Prompt, output: str) -> np.ndarray:
        return np.full(image.shape[:2], output == "sam")

    image = score_first(read_coco_set(dataset(folder), None), KnownMasks(rule), from_gt=True)
    assert [own.empty for own in image.scores] == [0, 2]
    assert empty_notes("own", [image, ImageScores("2.jpg")]) == [
        "own: images with empty predicted masks, sum: 1 (1.jpg)"
    ]


def test_what_exporters_leave_out_or_write_otherwise(folder: Path) -> None:
    document = json.loads((folder / "a.json").read_text())
    (image,) = document["images"]
    document["annotations"][0]["category_id"] = document["categories"][0]["name"]
    twin = {**image, "id": "again", "width": str(image["width"]), "height": float(image["height"])}
    document["images"] = [{"id": image["id"], "file_name": f"images\\{image['file_name']}"}, twin]
    (folder / "a.json").write_text(json.dumps(document))
    found = read_coco_set(dataset(folder), None)
    first, second = found.images
    assert first.path == second.path and first.path.exists() and first.name != second.name
    assert [i.size for i in found.images] == [(image["width"], image["height"])] * 2


def test_a_photo_of_another_size_is_no_photo_of_the_data_set(folder: Path, box_filler: KnownMasks) -> None:
    document = json.loads((folder / "a.json").read_text())
    document["images"][0]["width"] += 1
    (folder / "a.json").write_text(json.dumps(document))
    with pytest.raises(ImageError, match="in the data set"):
        score_first(read_coco_set(dataset(folder), None), box_filler, from_gt=True)


@pytest.mark.parametrize("name", ["../1.jpg", "/etc/passwd"])
def test_paths_in_json_stay_in_the_folder(folder: Path, name: str) -> None:
    document = json.loads((folder / "a.json").read_text())
    document["images"][0]["file_name"] = name
    (folder / "a.json").write_text(json.dumps(document))
    with pytest.raises(HqsamError, match="outside its folder"):
        read_coco_set(dataset(folder), None)


def test_frames_of_videos_are_images(folder: Path) -> None:
    mask = encoded(np.ones((HEIGHT, WIDTH), bool))
    document = {
        "videos": [
            {"id": 7, "width": WIDTH, "height": HEIGHT, "file_names": ["v/0.jpg", "v/1.jpg"]},
            {"id": 8, "width": WIDTH, "height": HEIGHT, "file_names": ["w/0.jpg"]},
        ],
        "annotations": [
            {"id": 1, "video_id": 7, "category_id": 2, "segmentations": [None, mask], "bboxes": [None, [1, 2, 3, 4]]},
            {"id": 2, "video_id": 8, "category_id": 2, "segmentations": [mask], "bboxes": [[5, 6, 7, 8]]},
        ],
        "categories": [{"id": 2, "name": "cat"}],
    }
    (folder / "a.json").write_text(json.dumps(document))
    images = read_coco_set(dataset(folder), None).images
    assert [image.name for image in images] == ["v/0.jpg", "v/1.jpg", "w/0.jpg"]
    assert [[box.bbox for box in image.boxes] for image in images] == [[], [[1, 2, 3, 4]], [[5, 6, 7, 8]]]
