"""Mask AP and boundary AP (Cheng et al., CVPR 2021), computed by `faster-coco-eval`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..formats.values import note
from ..records import Annotation
from .coco_set import CocoSet, GTImage, GTObject
from .scores import ImageScores

STRICT_RATIO = 0.01  # of the diagonal: the paper's "strict" boundary AP
COCO_DETECTIONS = 100  # the best of an image and class
LVIS_DETECTIONS = 300  # the best of an image
# IoU type, metric name, and boundary width as a fraction of the diagonal.
KINDS = (("segm", "AP", 0.02), ("boundary", "AP_B", 0.02), ("boundary", "AP_B strict", STRICT_RATIO))
SIZES = {"": "all", "_S": "small", "_M": "medium", "_L": "large"}  # object sizes for AP
NAMES = (*(f"AP{ending}" for ending in SIZES), "AP_B", "AP_B strict")


def precision_figures(coco_set: CocoSet, images: Sequence[ImageScores], output: str) -> dict[str, float]:
    """Mask AP (also by object size), and boundary AP at 2 and 1 percent of the diagonal, in percent.

    Only scored images count, so that subsets can be evaluated. Categories are evaluated one at a time, because the
    library allocates an array per image and category.
    """
    detections = [own for image in images if image.error is None for own in image.detections[output]]
    scored = {image.image_id for image in images if image.error is None}
    gts = [image for image in coco_set.images if image.image_id in scored]
    if coco_set.dataset.lvis:
        detections = _lvis_detections(gts, detections)
    if not detections:
        has_objects = any(not item.iscrowd for image in gts for item in image.objects)
        return dict.fromkeys(NAMES, 0.0 if has_objects else float("nan"))
    counted: dict[str, list[np.ndarray]] = defaultdict(list)
    for category, objects, found in _by_category(coco_set, gts, detections):
        document = _document(coco_set, category, gts, objects, found)
        for name, precision in _precisions(document, found, coco_set):
            counted[name].append(precision[precision > -1])
    means = {name: np.concatenate(values) for name, values in counted.items()}
    return {name: 100 * float(own.mean()) if own.size else float("nan") for name, own in means.items()}


def limit_notes(coco_set: CocoSet, images: Sequence[ImageScores], output: str) -> list[str]:
    """Messages about images with more detections than average precision counts."""
    dataset, beyond = coco_set.dataset, []
    most = LVIS_DETECTIONS if dataset.lvis else COCO_DETECTIONS
    together = dataset.lvis or dataset.class_agnostic
    for image in images:
        counts = Counter(None if together else own["category_id"] for own in image.detections.get(output, ()))
        if max(counts.values(), default=0) > most:
            beyond.append(image.name)
    texts: list[str] = []
    of_class = "" if together else " of a class"
    note(
        texts,
        f"{dataset.title}: images with more than {most} results{of_class}, of which the best {most} count",
        beyond,
    )
    return texts


def _lvis_detections(images: Sequence[GTImage], detections: Sequence[Annotation]) -> list[Annotation]:
    """The detections that LVIS counts: the best of each image, of classes that are known to be in it or not.

    `faster-coco-eval` 1.8 limits them per class, and fails if a class without objects has dropped detections only.
    """
    by_image: dict[int, list[Annotation]] = defaultdict(list)
    for own in detections:
        by_image[own["image_id"]].append(own)
    counted = []
    for image in images:
        listed = {item.category_id for item in image.objects}.union(image.category_lists.get("neg_category_ids", ()))
        best = sorted(by_image[image.image_id], key=lambda own: own["score"] or 0.0, reverse=True)[:LVIS_DETECTIONS]
        counted += [own for own in best if own["category_id"] in listed]
    return counted


def _by_category(
    coco_set: CocoSet, images: Sequence[GTImage], detections: Sequence[Annotation]
) -> Iterator[tuple[int | None, list[GTObject], list[Annotation]]]:
    """Objects and detections by category; all under None if the dataset is class-agnostic."""
    agnostic = coco_set.dataset.class_agnostic
    objects: dict[int | None, list[GTObject]] = defaultdict(list)
    found: dict[int | None, list[Annotation]] = defaultdict(list)
    for item in sorted((item for image in images for item in image.objects), key=lambda item: item.id):
        objects[None if agnostic else item.category_id].append(item)
    for own in detections:
        found[None if agnostic else own["category_id"]].append(own)
    for category in dict.fromkeys((*objects, *found)):
        yield category, objects[category], found[category]


def _document(
    coco_set: CocoSet,
    category: int | None,
    images: Sequence[GTImage],
    objects: Sequence[GTObject],
    detections: Sequence[Annotation],
) -> dict[str, Any]:
    """Build a COCO document of one category, with the images that have an object or a detection of it."""
    used = {item.image_id for item in objects} | {own["image_id"] for own in detections}
    return {
        "images": [
            {"id": image.image_id, "width": image.size[0], "height": image.size[1], **image.category_lists}
            for image in images
            if image.image_id in used
        ],
        "annotations": [item._asdict() for item in objects],
        "categories": [
            {"id": key, "name": str(key), "frequency": "f"}  # LVIS needs one, for figures that are not reported
            for key in coco_set.categories
            if category is None or key == category
        ],
    }


def _precisions(
    document: dict[str, Any], detections: Sequence[Annotation], coco_set: CocoSet
) -> Iterator[tuple[str, np.ndarray]]:
    """The precisions that each metric averages, -1 where there is no object."""
    from faster_coco_eval import COCO, COCOeval_faster

    gt = COCO()
    gt.dataset = document
    gt.createIndex()
    found = gt.loadRes([{**own} for own in detections])  # copies, because the library adds keys
    lvis = coco_set.dataset.lvis
    for kind, name, ratio in KINDS:
        evaluation = COCOeval_faster(
            gt, found, iouType=kind, lvis_style=lvis, print_function=lambda *_: None, boundary_dilation_ratio=ratio
        )
        evaluation.params.maxDets = [LVIS_DETECTIONS if lvis else COCO_DETECTIONS]
        evaluation.params.useCats = int(not coco_set.dataset.class_agnostic)
        evaluation.evaluate()
        evaluation.accumulate()
        labels = evaluation.params.areaRngLbl
        for ending, label in SIZES.items() if kind == "segm" else [("", SIZES[""])]:
            yield f"{name}{ending}", evaluation.eval["precision"][:, :, :, labels.index(label), -1]
