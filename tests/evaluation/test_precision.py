"""Average precision against a literal computation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hqsam_cli.evaluation import precision
from hqsam_cli.evaluation.coco_set import CocoSet, read_coco_set
from hqsam_cli.evaluation.metrics import boundary, boundary_width
from hqsam_cli.evaluation.precision import NAMES, limit_notes, precision_figures
from hqsam_cli.evaluation.scores import ImageScores
from hqsam_cli.modeling.overlap import iou

from .conftest import dataset, encoded

HEIGHT, WIDTH = 96, 128


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


def coco_set(folder: Path, document: dict[str, Any], **options: Any) -> CocoSet:
    (folder / "a.json").write_text(json.dumps(document))
    return read_coco_set(dataset(folder, **options), None)


def scored(results: list[dict[str, Any]], ids: range) -> list[ImageScores]:
    return [
        ImageScores(f"{n}.jpg", [], {"sum": [r for r in results if r["image_id"] == n]}, n)  # type: ignore[misc]
        for n in ids
    ]


def literal_ap(
    document: dict[str, Any], results: list[dict[str, Any]], ratio: float | None, *, agnostic: bool = False
) -> float:
    """AP at 0.50:0.05:0.95 by its definition: greedy matches by score, 101 points of the interpolated curve.

    Unmatched results of classes that LVIS lists as not exhaustively annotated in an image do not count.
    """

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
                    if match is None and category in image.get("not_exhaustive_category_ids", ()):
                        continue
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
    whole = coco_set(tmp_path, document, class_agnostic=agnostic)
    figures = precision_figures(whole, scored(results, range(1, 13)), "sum")
    assert 2 < figures["AP_B strict"] < figures["AP_B"] < figures["AP"] < 95
    assert figures["AP"] == pytest.approx(literal_ap(document, results, None, agnostic=agnostic), abs=1e-6)
    assert figures["AP_B"] == pytest.approx(literal_ap(document, results, 0.02, agnostic=agnostic), abs=1e-6)
    assert figures["AP_B strict"] == pytest.approx(literal_ap(document, results, 0.01, agnostic=agnostic), abs=1e-6)


def test_lvis_counts_the_best_results_of_an_image_and_listed_classes_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document, results = random_case()
    document["categories"].append({"id": 4, "name": "without objects"})
    for image in document["images"]:
        own = {a["category_id"] for a in document["annotations"] if a["image_id"] == image["id"]}
        image["neg_category_ids"] = [n for n in (1, 2, 3, 4) if n not in own and image["id"] % 2]
        image["not_exhaustive_category_ids"] = [1 + image["id"] % 3]
    for annotation in document["annotations"]:
        annotation["iscrowd"] = 0
    results += [{**own, "category_id": 4} for own in results[::7]]
    monkeypatch.setattr(precision, "LVIS_DETECTIONS", 4)
    listed = {a["image_id"]: set[int]() for a in document["annotations"]}
    for a in document["annotations"]:
        listed[a["image_id"]].add(a["category_id"])
    counted = []
    for image in document["images"]:
        best = sorted((r for r in results if r["image_id"] == image["id"]), key=lambda r: -r["score"])[:4]
        counted += [r for r in best if r["category_id"] in listed[image["id"]].union(image["neg_category_ids"])]
    assert len(results) > len(counted) + 10
    figures = precision_figures(coco_set(tmp_path, document, lvis=True), scored(results, range(1, 13)), "sum")
    assert figures["AP"] == pytest.approx(literal_ap(document, counted, None), abs=1e-6)
    assert figures["AP_B"] == pytest.approx(literal_ap(document, counted, 0.02), abs=1e-6)
    assert figures["AP"] != pytest.approx(literal_ap(document, results, None), abs=0.1)


@pytest.mark.parametrize("lvis", [False, True])
@pytest.mark.parametrize("listed", [[], [1]])
def test_results_of_a_class_without_objects_have_no_precision(tmp_path: Path, lvis: bool, listed: list[int]) -> None:
    document, results = random_case()
    document["annotations"] = []
    document["images"] = [{**image, "neg_category_ids": listed} for image in document["images"]]
    whole = coco_set(tmp_path, document, lvis=lvis)
    figures = precision_figures(whole, scored([own for own in results if own["category_id"] == 1], range(1, 13)), "sum")
    assert figures.keys() == set(NAMES) and np.isnan(list(figures.values())).all()


@pytest.mark.parametrize(
    ("options", "results"),
    [({}, "results of a class"), ({"class_agnostic": True}, "results"), ({"lvis": True}, "results")],
)
def test_results_beyond_the_limit_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], results: str
) -> None:
    monkeypatch.setattr(precision, "COCO_DETECTIONS", 2)
    monkeypatch.setattr(precision, "LVIS_DETECTIONS", 2)
    document, found = random_case()
    whole = coco_set(tmp_path, document, **options)
    two = [own for n in range(1, 13) for own in [r for r in found if r["image_id"] == n][:2]]
    assert limit_notes(whole, scored(two, range(1, 13)), "sum") == []
    three = [*two, two[0], two[0]]
    (text,) = limit_notes(whole, scored(three, range(1, 13)), "sum")
    assert text == f"own: images with more than 2 {results}, of which the best 2 count: 1 (1.jpg)"


def test_only_scored_images_count(tmp_path: Path) -> None:
    document, _results = random_case()
    perfect = [
        {**{k: a[k] for k in ("image_id", "category_id", "segmentation")}, "score": 0.9}
        for a in document["annotations"]
        if a["image_id"] <= 4
    ]
    images = [*scored(perfect, range(1, 5)), ImageScores("5.jpg", error="unreadable")]
    whole = coco_set(tmp_path, document)
    assert precision_figures(whole, images, "sum")["AP"] == pytest.approx(100)


@pytest.mark.parametrize("write", [lambda n: n - 1, lambda n: -n, lambda n: f"x{n}", lambda n: n + 2**60, str, float])
def test_figures_do_not_depend_on_how_ids_are_numbered(tmp_path: Path, write: Any) -> None:
    document, results = random_case()

    def figures(document: dict[str, Any]) -> dict[str, float]:
        return precision_figures(coco_set(tmp_path, document), scored(results, range(1, 13)), "sum")

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


def test_categories_without_results_count_and_those_without_objects_do_not(tmp_path: Path) -> None:
    document, _ = random_case()
    perfect = [
        {**{k: a[k] for k in ("image_id", "category_id", "segmentation")}, "score": 0.9}
        for a in document["annotations"]
        if a["category_id"] != 2
    ]
    document["categories"].append({"id": 4, "name": "4"})
    stray = {**perfect[0], "category_id": 4}
    whole = coco_set(tmp_path, document)
    for results in (perfect, [*perfect, stray]):
        assert precision_figures(whole, scored(results, range(1, 13)), "sum")["AP"] == pytest.approx(200 / 3)
