"""Annotations with `iscrowd` 1: regions of COCO, and single objects of other programs."""

from __future__ import annotations

import io
import json
from typing import Any, Literal

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hqsam_cli.prompts.prompt_file import PromptFile
from hqsam_cli.prompts.read import read_prompt_file


def rle() -> dict[str, Any]:
    """A ring, which no single polygon draws."""
    mask = np.zeros((40, 60), np.uint8)
    mask[10:30, 10:30] = 1
    mask[15:20, 15:20] = 0
    encoded = coco_mask.encode(np.asfortranarray(mask))
    return {"size": [40, 60], "counts": encoded["counts"].decode()}


def read(*annotations: dict[str, Any], crowds: Literal["keep", "drop"] | None = None) -> PromptFile:
    images, categories = [{"id": 1, "file_name": "a.jpg"}], [{"id": 1, "name": "cat"}, {"id": 2, "name": "ring"}]
    own = [{"id": n, "image_id": 1, "bbox": [10, 10, 20, 20], **a} for n, a in enumerate(annotations, 1)]
    document = {"images": images, "annotations": own, "categories": categories}
    return read_prompt_file("-", "box", stdin=io.BytesIO(json.dumps(document).encode()), crowds=crowds)


CAT, CROWD = {"category_id": 1, "iscrowd": 0}, {"category_id": 1, "iscrowd": 1, "segmentation": rle()}
RING = {"category_id": 2, "iscrowd": 1, "segmentation": rle()}
REGION = {"category_id": 2, "iscrowd": 1}


def test_crowds_of_coco_are_dropped_and_objects_written_as_crowds_are_kept() -> None:
    file = read(CAT, RING, CROWD, CAT, RING)
    assert [a.annotation_id for a in file.annotations] == [1, 2, 4, 5] and not file.notes.lost
    kept, dropped = sorted(file.notes.remarks)
    assert "kept; pass `crowds` drop if not: 2 (annotation 2 of a.jpg, annotation 5 of a.jpg)" in kept
    assert "skipped; pass `crowds` keep if they are single objects: 1 (annotation 3 of a.jpg)" in dropped


@pytest.mark.parametrize(("crowds", "ids"), [("keep", [1, 2, 3]), ("drop", [1])])
def test_an_option_decides(crowds: Literal["keep", "drop"], ids: list[int]) -> None:
    file = read(CAT, RING, CROWD, crowds=crowds)
    assert [a.annotation_id for a in file.annotations] == ids and not file.notes.lost and not file.notes.remarks


def test_crowds_that_are_most_of_a_file_are_lost_prompts() -> None:
    (lost,) = read(CAT, REGION, REGION).notes.lost
    assert "crowd regions, skipped; pass `crowds` keep if they are single objects: 2" in lost


def test_several_crowds_of_a_class_in_an_image_are_objects_among_polygons() -> None:
    file = read(CAT, CAT, CROWD, CAT, CROWD, {**CAT, **RING, "category_id": 2, "iscrowd": 0}, RING)
    assert [a.annotation_id for a in file.annotations] == [1, 2, 3, 4, 5, 6]
    assert "by their number single objects" in file.notes.remarks[0] and "annotation 7 of" in file.notes.remarks[1]
