"""Annotations of results as files have them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..configs import SegmentationKind
from ..records import DECIMALS, Annotation, ImageRecord, Instance, Prompt
from .polygons import mask_polygons


def make_annotation(
    instance: Instance, image_id: int, *, multimask: bool, tolerance: float | None = None
) -> Annotation:
    """`Instance.to_coco`; with a `tolerance` it also has `polygons`, as `mask_polygons` makes them."""
    annotation = instance.to_coco(image_id, multimask=multimask)
    if tolerance is not None:
        annotation["polygons"] = mask_polygons(instance.mask, tolerance).record()
    return annotation


def make_detection(prompt: Prompt, image_id: int, category: str | None) -> Annotation:
    """One COCO annotation of a box that a detector found, as precise as the detector gives it.

    It carries the name of its category, since a line of NDJSON may be all that a reader gets.
    """
    assert prompt.box is not None
    x0, y0, x1, y1 = prompt.box
    width, height = round(x1 - x0, DECIMALS), round(y1 - y0, DECIMALS)
    return {
        "id": prompt.annotation_id,
        "image_id": image_id,
        "category_id": prompt.category_id,
        "category": category,
        "bbox": [x0, y0, width, height],
        "area": round(width * height, DECIMALS),
        "iscrowd": 0,
        "score": prompt.score,
    }


def shown(record: ImageRecord, segmentation: SegmentationKind) -> dict[str, Any]:
    """The record of an image as files of results have it: without `polygons`, or with them as the segmentation.

    A mask that is empty has no polygon and stays what it is.
    """
    return {**record.to_dict(), "annotations": [_shown(own, segmentation) for own in record.annotations]}


def _shown(annotation: Annotation, segmentation: SegmentationKind) -> dict[str, Any]:
    kept = {key: value for key, value in annotation.items() if key != "polygons"}
    parts = annotation["polygons"]["parts"] if segmentation != "rle" else []
    if not parts:
        return kept
    both = {"rle": annotation["segmentation"]} if segmentation == "both" else {}
    return {**kept, "segmentation": parts, **both}


def json_line(value: Mapping[str, Any]) -> bytes:
    """A value as one line of ASCII; bytes of a name that are not UTF-8 survive as lone surrogates."""
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"
