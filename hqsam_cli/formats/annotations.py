"""The record of an image: what the journal, NDJSON and COCO JSON are made of."""

from __future__ import annotations

import json
from typing import Any

from ..configs import SegmentationKind
from ..records import DECIMALS, Instance, Prompt
from .polygons import mask_polygons


def make_annotation(
    instance: Instance, image_id: int, *, multimask: bool, tolerance: float | None = None
) -> dict[str, Any]:
    """`Instance.to_coco`; with a `tolerance` it also has `polygons`, as `mask_polygons` makes them."""
    record = instance.to_coco(image_id, multimask=multimask)
    return record if tolerance is None else {**record, "polygons": mask_polygons(instance.mask, tolerance).record()}


def make_detection(prompt: Prompt, image_id: int, category: str | None) -> dict[str, Any]:
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


def make_image_record(
    file_name: str,
    image_id: int,
    size: tuple[int, int] | None,
    annotations: list[dict[str, Any]],
    error: str | None = None,
) -> dict[str, Any]:
    """One image of the results; `size` is (width, height), unknown where the image could not be read."""
    width, height = size or (None, None)
    return {
        "file_name": file_name,
        "image_id": image_id,
        "width": width,
        "height": height,
        "annotations": annotations,
        "error": error,
    }


def shown(record: dict[str, Any], segmentation: SegmentationKind) -> dict[str, Any]:
    """The record of an image as files of results have it: without `polygons`, or with them as the segmentation.

    A mask that is empty has no polygon and stays what it is.
    """
    return {**record, "annotations": [_shown(annotation, segmentation) for annotation in record["annotations"]]}


def _shown(annotation: dict[str, Any], segmentation: SegmentationKind) -> dict[str, Any]:
    kept = {key: value for key, value in annotation.items() if key != "polygons"}
    parts = annotation["polygons"]["parts"] if segmentation != "rle" else []
    if not parts:
        return kept
    both = {"rle": annotation["segmentation"]} if segmentation == "both" else {}
    return {**kept, "segmentation": parts, **both}


def json_line(record: dict[str, Any]) -> bytes:
    """A record as one line of ASCII; bytes of a name that are not UTF-8 survive as lone surrogates."""
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"
