"""Results of detectors, in JSON, as their programs save them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hqsam_cli.errors import HqsamError
from hqsam_cli.prompts.read import read_prompt_file
from tests.prompts.readers.pixels import SIZE, TRUTH, Photos

WIDTH, HEIGHT = SIZE


def sides(box: tuple[float, ...], names: str) -> dict[str, float]:
    """The left, top, width and height of a box by these names."""
    x0, y0, x1, y1 = box
    return dict(zip(names.split(), (x0, y0, x1 - x0, y1 - y0), strict=True))


def shares(box: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(n / (HEIGHT if odd % 2 else WIDTH) for odd, n in enumerate(box))


def corners(box: tuple[float, ...], names: str) -> dict[str, float]:
    return dict(zip(names.split(), box, strict=True))


def centered(box: tuple[float, ...]) -> dict[str, float]:
    x0, y0, x1, y1 = shares(box)
    return {"center_x": (x0 + x1) / 2, "center_y": (y0 + y1) / 2, "width": x1 - x0, "height": y1 - y0}


# Each is a file about `a.jpg`.
RESULTS: dict[str, Any] = {
    "Ultralytics results": [
        {"name": label, "class": 0, "confidence": 0.5, "box": corners(box, "x1 y1 x2 y2")} for label, box in TRUTH
    ],
    "Darknet": [
        {
            "frame_id": 1,
            "filename": "data/a.jpg",
            "objects": [
                {"class_id": 0, "name": label, "relative_coordinates": centered(box), "confidence": 0.5}
                for label, box in TRUTH
            ],
        }
    ],
    "supervision": [
        {**corners(box, "x_min y_min x_max y_max"), "class_id": 0, "confidence": 0.5, "tracker_id": "", "label": label}
        | {"image": "a.jpg"}
        for label, box in TRUTH
    ],
    "Azure Vision": {
        "requestId": "1",
        "metadata": {"width": WIDTH, "height": HEIGHT},
        "objects": [{"rectangle": sides(box, "x y w h"), "object": own, "confidence": 0.5} for own, box in TRUTH],
    },
    "Azure Custom Vision": {
        "id": "1",
        "predictions": [
            {
                "probability": 0.5,
                "tagId": "1",
                "tagName": label,
                "boundingBox": dict(zip(("left", "top", "width", "height"), (x0, y0, x1 - x0, y1 - y0), strict=True)),
            }
            for label, (x0, y0, x1, y1) in ((label, shares(box)) for label, box in TRUTH)
        ],
    },
    "ODVG": {
        "filename": "a.jpg",
        "detection": {"instances": [{"bbox": list(box), "label": 0, "category": label} for label, box in TRUTH]},
    },
    "BDD100K": [
        {
            "name": "a.jpg",
            "attributes": {"weather": "clear"},
            "labels": [
                {"id": n, "category": label, "box2d": corners(box, "x1 y1 x2 y2")}
                for n, (label, box) in enumerate(TRUTH)
            ],
        }
    ],
}


@pytest.mark.parametrize("kind", RESULTS)
def test_results_of_detectors(kind: str, tmp_path: Path) -> None:
    photos = Photos(tmp_path)
    table = photos.bound(RESULTS[kind], "a.json")
    assert photos.boxes(table) == TRUTH
    assert {p.score for p in table.for_image("a.jpg").prompts} == {None if kind in ("BDD100K", "ODVG") else 0.5}
    assert read_prompt_file(str(tmp_path / "a.json"), "box").kind == kind


def test_predictions_of_mmdetection_are_a_file_an_image(tmp_path: Path) -> None:
    photos = Photos(tmp_path)
    (tmp_path / "preds").mkdir()
    boxes = [list(box) for _, box in TRUTH]
    table = photos.bound({"labels": [3, 0], "scores": [0.5, 0.5], "bboxes": boxes}, "preds/a.json")
    found = [("category 3", TRUTH[0][1]), ("category 0", TRUTH[1][1])]
    assert photos.boxes(table) == photos.boxes(photos.bound_path(tmp_path / "preds")) == found


def test_a_record_without_a_box_is_told(tmp_path: Path) -> None:
    lanes = {"name": "b.jpg", "labels": [{"id": 1, "category": "lane", "poly2d": []}]}
    table = Photos(tmp_path).bound([*RESULTS["BDD100K"], lanes], "a.json")
    assert any("records without boxes" in text for text in table.notes.lost)
    assert not table.for_image("b.jpg").mentioned


def test_the_mode_of_boxes_of_detectron2_is_followed(tmp_path: Path) -> None:
    photos = Photos(tmp_path)
    (_, first), (_, second) = TRUTH
    modes = [{"bbox": list(first), "bbox_mode": 0}, {"bbox": [*sides(second, "x y w h").values()], "bbox_mode": 1}]
    line = {"file_name": "a.jpg", "annotations": [{**own, "label": "x"} for own in modes]}
    assert photos.read([line]) == [("x", first), ("x", second)]


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ([{"file": "a.jpg", "annotations": [{"bbox": [1, 2, 3, 4], "bbox_mode": 0}]}], "records of detectron2"),
        ({"Labels": [{"Name": "x", "Instances": [{"BoundingBox": {"Left": 0.1}}]}]}, "labels of AWS Rekognition"),
        ({"items": [{"id": "a", "annotations": [{"label_id": 0}]}], "categories": {}}, "a data set of datumaro"),
        ({"type": "Feature", "properties": {}, "geometry": {"type": "Point"}}, "GeoJSON"),
        ({"classes": [{"title": "cat"}], "tags": [], "projectType": "images"}, "the classes of a Supervisely project"),
    ],
)
def test_files_that_are_not_read_are_named(document: Any, name: str, tmp_path: Path) -> None:
    with pytest.raises(HqsamError, match=name):
        Photos(tmp_path).bound(document, "a.json")
