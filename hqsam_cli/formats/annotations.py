"""Annotations as written to result files."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any

from ..configs import SegmentationKind
from ..records import DECIMALS, Annotation, ImageRecord, Instance, Prompt
from .polygons import mask_polygons


def make_annotation(
    instance: Instance,
    image_id: int,
    *,
    multimask: bool,
    tolerance: float | None = None,
    forms: Collection[str] = (),
) -> Annotation:
    """`Instance.to_coco`, plus `polygons` from `mask_polygons` if a `tolerance` is given."""
    annotation = instance.to_coco(image_id, multimask=multimask)
    if tolerance is not None:
        annotation["polygons"] = mask_polygons(instance.mask, tolerance, forms)
    return annotation


def make_detection(prompt: Prompt, image_id: int, category: str | None) -> Annotation:
    """COCO annotation of a detected box, at the precision of the detector.

    It includes the category name, so that a line of NDJSON is self-contained.
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
    """The record of an image as written to result files: `polygons` removed, or used as the segmentation.

    An empty mask has no polygon and keeps its RLE.
    """
    return {**record.to_dict(), "annotations": [shown_annotation(own, segmentation) for own in record.annotations]}


def shown_annotation(annotation: Annotation, segmentation: SegmentationKind) -> dict[str, Any]:
    """See `shown`."""
    kept = {key: value for key, value in annotation.items() if key != "polygons"}
    parts = annotation["polygons"]["parts"] if segmentation != "rle" else []
    if not parts:
        return kept
    both = {"rle": annotation["segmentation"]} if segmentation == "both" else {}
    return {**kept, "segmentation": parts, **both}


def json_line(value: Mapping[str, Any]) -> bytes:
    """Encode a value as one ASCII line; undecodable bytes in names are kept as lone surrogates."""
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"
