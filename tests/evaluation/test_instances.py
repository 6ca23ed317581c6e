"""Average precision against a literal computation, and what instance sets are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hqsam_cli.data.sets import Dataset
from hqsam_cli.errors import HqsamError, ImageError
from hqsam_cli.evaluation.instances import InstanceScorer, InstanceSet, instance_set, precision_figures
from hqsam_cli.evaluation.metrics import boundary, boundary_width, iou

from .conftest import KnownMasks

HEIGHT, WIDTH = 96, 128


def dataset(folder: Path, **options: Any) -> Dataset:
    return Dataset("own", "own", "instances", str(folder), str(folder / "a.json"), 0, "", "", "", **options)


def encoded(mask: np.ndarray) -> dict[str, Any]:
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": rle["size"], "counts": rle["counts"].decode()}


def blob(rng: np.random.Generator) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    center = (int(rng.integers(20, WIDTH - 20)), int(rng.integers(20, HEIGHT - 20)))
    axes = (int(rng.integers(5, 30)), int(rng.integers(5, 20)))
    cv2.ellipse(mask, center, axes, float(rng.integers(0, 180)), 0, 360, 1, -1)
    return mask.astype(bool)


def moved(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    return np.roll(mask, tuple(int(n) for n in rng.integers(0, 2, 2)), (0, 1))


def random_case(classes: int = 3) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Twelve images of up to six objects; results near them, strays, and wrong classes. Scores are distinct."""
    rng = np.random.default_rng(7)
    document: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    document["categories"] = [{"id": n, "name": str(n)} for n in range(1, classes + 1)]
    results = []
    for image in range(1, 13):
        document["images"].append({"id": image, "file_name": f"{image}.jpg", "width": WIDTH, "height": HEIGHT})
        for _ in range(int(rng.integers(1, 7))):
            mask, category = blob(rng), int(rng.integers(1, classes + 1))
            x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
            document["annotations"].append(
                {
                    "id": len(document["annotations"]) + 1,
                    "image_id": image,
                    "category_id": category,
                    "segmentation": encoded(mask),
                    "area": int(mask.sum()),
                    "bbox": [x, y, w, h],
                    "iscrowd": int(rng.random() < 0.1),
                }
            )
            for _ in range(int(rng.integers(0, 3))):
                wrong = rng.random() < 0.15
                found = blob(rng) if wrong else moved(rng, mask)
                results.append(
                    {
                        "image_id": image,
                        "category_id": category if rng.random() < 0.9 else int(rng.integers(1, classes + 1)),
                        "segmentation": encoded(found),
                        "score": float(rng.random()),
                    }
                )
    return document, results


def literal_ap(
    document: dict[str, Any], results: list[dict[str, Any]], ratio: float | None, *, agnostic: bool = False
) -> float:
    """AP at 0.50:0.05:0.95 by its definition: greedy matches by score, 101 points of the interpolated curve."""

    def pixels(item: dict[str, Any]) -> np.ndarray:
        return coco_mask.decode(item["segmentation"]).astype(bool)

    def overlap(found: dict[str, Any], gt: dict[str, Any]) -> float:
        a, b = pixels(found), pixels(gt)
        if gt["iscrowd"]:
            return float((a & b).sum() / a.sum())
        value = iou(a, b)
        if ratio is not None:
            width = boundary_width(HEIGHT, WIDTH, ratio)
            value = min(value, iou(boundary(a, width), boundary(b, width)))
        return value

    def of(items: list[dict[str, Any]], category: int, image: int) -> list[dict[str, Any]]:
        return [i for i in items if i["image_id"] == image and (agnostic or i["category_id"] == category)]

    values = []
    for category in [0] if agnostic else [c["id"] for c in document["categories"]]:
        for threshold in np.linspace(0.5, 0.95, 10):
            outcomes: list[tuple[float, bool]] = []
            count = 0
            for image in document["images"]:
                gts = sorted(of(document["annotations"], category, image["id"]), key=lambda t: t["iscrowd"])
                count += sum(not t["iscrowd"] for t in gts)
                taken: set[int] = set()
                for found in sorted(of(results, category, image["id"]), key=lambda r: -r["score"])[:100]:
                    best, match = threshold, None
                    for gt in gts:
                        if gt["id"] in taken and not gt["iscrowd"]:
                            continue
                        if match is not None and not match["iscrowd"] and gt["iscrowd"]:
                            break
                        value = overlap(found, gt)
                        if value >= best:
                            best, match = value, gt
                    if match is None:
                        outcomes.append((found["score"], False))
                    elif not match["iscrowd"]:
                        taken.add(match["id"])
                        outcomes.append((found["score"], True))
            if not count:
                continue
            hits = np.array([hit for _, hit in sorted(outcomes, key=lambda o: -o[0])], float)
            true_so_far = hits.cumsum()
            recall, precision = true_so_far / count, true_so_far / np.arange(1, len(hits) + 1)
            curve = [max(precision[recall >= point], default=0.0) for point in np.linspace(0, 1, 101)]
            values.append(float(np.mean(curve)))
    return 100 * float(np.mean(values))


@pytest.mark.parametrize("agnostic", [False, True])
def test_average_precision_is_the_definition(tmp_path: Path, agnostic: bool) -> None:
    document, results = random_case()
    whole = InstanceSet(dataset(tmp_path, class_agnostic=agnostic), document, [])
    records = [
        {"error": None, "image_id": i["id"], "results": {"sum": [r for r in results if r["image_id"] == i["id"]]}}
        for i in document["images"]
    ]
    figures = precision_figures(whole, records, "sum")
    assert 2 < figures["AP_B strict"] < figures["AP_B"] < figures["AP"] < 95
    assert figures["AP"] == pytest.approx(literal_ap(document, results, None, agnostic=agnostic), abs=1e-6)
    assert figures["AP_B"] == pytest.approx(literal_ap(document, results, 0.02, agnostic=agnostic), abs=1e-6)
    assert figures["AP_B strict"] == pytest.approx(literal_ap(document, results, 0.01, agnostic=agnostic), abs=1e-6)


def test_only_scored_images_count(tmp_path: Path) -> None:
    document, _results = random_case()
    perfect = [
        {**{k: a[k] for k in ("image_id", "category_id", "segmentation")}, "score": 0.9}
        for a in document["annotations"]
        if a["image_id"] <= 4
    ]
    records = [
        {"error": None, "image_id": n, "results": {"sum": [r for r in perfect if r["image_id"] == n]}}
        for n in range(1, 5)
    ] + [{"error": "unreadable", "image_id": 5}]
    whole = InstanceSet(dataset(tmp_path), document, [])
    assert precision_figures(whole, records, "sum")["AP"] == pytest.approx(100)


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


def test_boxes_of_the_gt_score_each_object(folder: Path, box_filler: KnownMasks) -> None:
    (image,) = instance_set(dataset(folder), None).images
    assert len(image.boxes) == 2, "a crowd is no prompt"
    scorer = InstanceScorer(box_filler, from_gt=True)
    record = scorer.record(image, scorer.loaded(image))
    assert [(scores["IoU"], scores["BIoU"]) for scores in record["scores"]["sum"]] == [(1.0, 1.0)] * 2
    assert [scores["IoU"] for scores in record["scores"]["sam"]] == [pytest.approx(0.5)] * 2
    assert [result["score"] for result in record["results"]["sum"]] == [0.5, 0.5]


def test_a_detectors_score_is_multiplied_by_sams(folder: Path, box_filler: KnownMasks) -> None:
    detections = folder / "dets.json"
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 30], "score": 0.8}]
    detections.write_text(json.dumps(boxes))
    (image,) = instance_set(dataset(folder), detections).images
    scorer = InstanceScorer(box_filler, from_gt=False)
    record = scorer.record(image, scorer.loaded(image))
    (result,) = record["results"]["sum"]
    assert result["score"] == pytest.approx(0.4)
    assert coco_mask.decode(result["segmentation"]).sum() == 40 * 30
    assert record["scores"]["sum"] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"image_id": 9, "bbox": [0, 0, 1, 1]}]', "1 of its image ids are not of this data set .first: 9"),
        ("[1]", "holds no list of results"),
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
        instance_set(dataset(folder), folder / "dets.json")


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
        instance_set(dataset(folder), None)


@pytest.mark.parametrize("write", [lambda n: n - 1, lambda n: -n, lambda n: f"x{n}", lambda n: n + 2**60, str, float])
def test_figures_do_not_depend_on_how_ids_are_numbered(folder: Path, write: Any) -> None:
    document, results = random_case()

    def figures(document: dict[str, Any]) -> dict[str, float]:
        (folder / "a.json").write_text(json.dumps(document))
        whole = instance_set(dataset(folder), None)
        records = [
            {"image_id": n, "error": None, "results": {"sum": [r for r in results if r["image_id"] == n]}}
            for n in range(1, 13)
        ]
        return precision_figures(whole, records, "sum")

    plain = figures(document)
    renamed = {
        "images": [{**image, "id": write(image["id"])} for image in document["images"]],
        "annotations": [
            {**a, **{key: write(a[key]) for key in ("id", "image_id", "category_id")}, "iscrowd": str(a["iscrowd"])}
            for a in document["annotations"]
        ],
        "categories": [{**category, "id": write(category["id"])} for category in document["categories"]],
    }
    assert plain["AP"] > 10 and figures(renamed) == pytest.approx(plain, abs=0, nan_ok=True)


@pytest.mark.parametrize("shape", [None, [], [[1, 2, 3, 4]]])
def test_an_object_without_a_mask_is_left_out_and_counted(folder: Path, shape: Any) -> None:
    document = json.loads((folder / "a.json").read_text())
    whole = len(document["annotations"])
    document["annotations"].append({**document["annotations"][0], "id": 99, "segmentation": shape})
    (folder / "a.json").write_text(json.dumps(document))
    found = instance_set(dataset(folder), None)
    assert len(found.document["annotations"]) == whole
    assert "annotations without a box and a mask, left out: 1 (annotation 99)" in found.problems[0]


def test_what_exporters_leave_out_or_write_otherwise(folder: Path) -> None:
    document = json.loads((folder / "a.json").read_text())
    (image,) = document["images"]
    document["annotations"][0]["category_id"] = document["categories"][0]["name"]
    twin = {**image, "id": "again", "width": str(image["width"]), "height": float(image["height"])}
    document["images"] = [{"id": image["id"], "file_name": f"images\\{image['file_name']}"}, twin]
    (folder / "a.json").write_text(json.dumps(document))
    found = instance_set(dataset(folder), None)
    first, second = found.images
    assert first.path == second.path and first.path.exists() and first.name != second.name
    assert [(i["width"], i["height"]) for i in found.document["images"]] == [(image["width"], image["height"])] * 2


def test_a_photo_of_another_size_is_no_photo_of_the_data_set(folder: Path, box_filler: KnownMasks) -> None:
    document = json.loads((folder / "a.json").read_text())
    document["images"][0]["width"] += 1
    (folder / "a.json").write_text(json.dumps(document))
    (image,) = instance_set(dataset(folder), None).images
    scorer = InstanceScorer(box_filler, from_gt=True)
    with pytest.raises(ImageError, match="in the data set"):
        scorer.record(image, scorer.loaded(image))


@pytest.mark.parametrize("name", ["../1.jpg", "/etc/passwd"])
def test_paths_in_json_stay_in_the_folder(folder: Path, name: str) -> None:
    document = json.loads((folder / "a.json").read_text())
    document["images"][0]["file_name"] = name
    (folder / "a.json").write_text(json.dumps(document))
    with pytest.raises(HqsamError, match="outside its folder"):
        instance_set(dataset(folder), None)


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
    images = instance_set(dataset(folder), None).images
    assert [image.name for image in images] == ["v/0.jpg", "v/1.jpg", "w/0.jpg"]
    assert [[box["bbox"] for box in image.boxes] for image in images] == [[], [[1, 2, 3, 4]], [[5, 6, 7, 8]]]
