"""Average precision, `faster-coco-eval`'s: of masks, and of boundaries (Cheng et al., CVPR 2021)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .instances import InstanceSet
from .runner import Record

STRICT_RATIO = 0.01  # of the diagonal: the paper's "strict" boundary AP
COCO_DETECTIONS, LVIS_DETECTIONS = 100, 300  # results an image that count
# What is counted: the kind of IoU, its name, and the width of a boundary as a share of the diagonal.
KINDS = (("segm", "AP", 0.02), ("boundary", "AP_B", 0.02), ("boundary", "AP_B strict", STRICT_RATIO))
SIZES = {"": "all", "_S": "small", "_M": "medium", "_L": "large"}  # of objects, for the first of them
NAMES = (*(f"AP{ending}" for ending in SIZES), "AP_B", "AP_B strict")


def precision_figures(whole: InstanceSet, records: Sequence[Record], output: str) -> dict[str, float]:
    """AP of masks (and by size), and of boundaries at 2 and at 1 percent of the diagonal, in percent.

    Only images that were scored count, so that a part of a data set can be measured. Categories are independent, and
    one is looked at after another, since for each pair of an image and a category the library keeps what it found.
    """
    scored = [record for record in records if record["error"] is None]
    if not any(record["results"][output] for record in scored):
        return dict.fromkeys(NAMES, 0.0)
    counted: dict[str, list[np.ndarray]] = defaultdict(list)
    for gt, results in _categories(whole, scored, output):
        for name, precision in _precisions(gt, results, whole):
            counted[name].append(precision[precision > -1])
    means = {name: np.concatenate(values) for name, values in counted.items()}
    return {name: 100 * float(own.mean()) if own.size else float("nan") for name, own in means.items()}


def _categories(
    whole: InstanceSet, scored: Sequence[Record], output: str
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The ground truth of each category, as a document, and its results; of all at once where classes do not count."""
    ids = {record["image_id"] for record in scored}
    of_class = (lambda _: None) if whole.dataset.class_agnostic else (lambda item: item["category_id"])
    gts, results = defaultdict(list), defaultdict(list)
    for annotation in whole.document["annotations"]:
        if annotation["image_id"] in ids:
            gts[of_class(annotation)].append(annotation)
    for record in scored:
        for result in record["results"][output]:
            results[of_class(result)].append(result)
    for key in dict.fromkeys((*gts, *results)):
        used = {item["image_id"] for item in (*gts[key], *results[key])}
        document = {
            **whole.document,
            "images": [image for image in whole.document["images"] if image["id"] in used],
            "annotations": [{**annotation} for annotation in gts[key]],  # the library adds to them, and to results
            "categories": [own for own in whole.document["categories"] if key is None or own["id"] == key],
        }
        yield document, [{**result} for result in results[key]]


def _precisions(
    document: dict[str, Any], results: list[dict[str, Any]], whole: InstanceSet
) -> Iterator[tuple[str, np.ndarray]]:
    """The name of each figure, and the precisions that it is the mean of, -1 where there is nothing to find."""
    from faster_coco_eval import COCO, COCOeval_faster

    gt = COCO()
    gt.dataset = document
    gt.createIndex()
    found = gt.loadRes(results)
    lvis = whole.dataset.lvis
    for kind, name, ratio in KINDS:
        evaluation = COCOeval_faster(
            gt, found, iouType=kind, lvis_style=lvis, print_function=_silent, boundary_dilation_ratio=ratio
        )
        evaluation.params.maxDets = [LVIS_DETECTIONS] if lvis else [1, 10, COCO_DETECTIONS]
        evaluation.params.useCats = int(not whole.dataset.class_agnostic)
        evaluation.evaluate()
        evaluation.accumulate()
        labels = evaluation.params.areaRngLbl
        for ending, label in SIZES.items() if kind == "segm" else [("", SIZES[""])]:
            yield f"{name}{ending}", evaluation.eval["precision"][:, :, :, labels.index(label), -1]


def _silent(*_: object) -> None:
    """Where the library would print."""
