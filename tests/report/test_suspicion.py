"""What makes a mask suspicious, a part at a time."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from hqsam_cli.records import MaskCrop
from hqsam_cli.report.suspicion import PARTS, join_parts, measure_masks, suspicion_parts, unusual_sizes

HEIGHT, WIDTH = 200, 240


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    made: np.ndarray = (columns - x) ** 2 + (rows - y) ** 2 < radius**2
    return made


GOOD = disc(110, 100, 60)


def photo() -> np.ndarray:
    """A bright disc on a dark ground, with some noise."""
    noise = np.random.default_rng(0).integers(0, 30, (HEIGHT, WIDTH, 3))
    return (np.where(GOOD[..., None], (200, 160, 40), (30, 60, 90)) + noise).astype(np.uint8)


def parts_of(*masks: np.ndarray, **more: Any) -> list[dict[str, float]]:
    """The parts of masks in the photo, each asked for by the box of the good one."""
    crops = [MaskCrop(mask, 0, 0, WIDTH, HEIGHT) for mask in masks]
    box = [50.0, 40.0, 120.0, 120.0]
    annotations: list[Any] = [
        {"segmentation": crop.rle, "prompt_box": box, "predicted_iou": 0.95, **more} for crop in crops
    ]
    rows = suspicion_parts(measure_masks(annotations, crops, photo()))
    return [dict(zip(PARTS, row.tolist(), strict=True)) for row in rows]


def eroded() -> np.ndarray:
    return cv2.erode(GOOD.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool)


def rectangle() -> np.ndarray:
    mask = np.zeros_like(GOOD)
    mask[40:160, 50:170] = True
    return mask


def ragged() -> np.ndarray:
    rng = np.random.default_rng(1)
    rim = cv2.morphologyEx(GOOD.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((17, 17), np.uint8)).astype(bool)
    mask: np.ndarray = np.where(rim, rng.random(GOOD.shape) < 0.5, GOOD)
    return mask


BAD = {
    "box": GOOD & (np.arange(WIDTH) < 110),
    "contact": rectangle(),
    "holes": GOOD & ~disc(90, 100, 22),
    "fragments": disc(80, 100, 25) | disc(140, 100, 25),
    "ragged": ragged(),
    "edges": eroded(),
    "gap": GOOD & disc(118, 100, 60),
    "straight": GOOD & (np.arange(WIDTH) < 110),
    "foreign": rectangle(),
    "empty": np.zeros_like(GOOD),
}


def test_a_good_mask_is_not_suspicious() -> None:
    (parts,) = parts_of(GOOD)
    assert join_parts(np.array([list(parts.values())]))[0] < 0.1


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mask_is_suspicious_for_its_reason(name: str) -> None:
    good, bad = parts_of(GOOD)[0][name], parts_of(BAD[name])[0][name]
    assert good < 0.05
    assert bad > 0.1


def test_what_the_model_says() -> None:
    assert parts_of(GOOD, predicted_iou=0.5)[0]["confidence"] > 0.3
    assert [parts_of(GOOD, score=score)[0]["low_score"] > 0.2 for score in (0.9, 0.5, 0.2)] == [False, False, True]
    sam = {"segmentation": MaskCrop(eroded(), 0, 0, WIDTH, HEIGHT).rle}
    same = {"segmentation": MaskCrop(GOOD, 0, 0, WIDTH, HEIGHT).rle}
    assert parts_of(GOOD, sam=sam)[0]["disagreement"] > 0.2
    assert parts_of(GOOD, sam=same)[0]["disagreement"] == 0


def test_a_mask_twice_is_suspicious_unless_it_answers_the_same_prompt() -> None:
    assert [parts["duplicate"] > 0.8 for parts in parts_of(GOOD, GOOD)] == [True, True]
    assert [parts["duplicate"] for parts in parts_of(GOOD, GOOD, prompt_id=7)] == [0, 0]


def test_a_mask_that_several_others_fill_is_suspicious() -> None:
    left, right = GOOD & (np.arange(WIDTH) < 105), GOOD & (np.arange(WIDTH) >= 115)
    assert [parts["merged"] > 0.5 for parts in parts_of(GOOD, left, right)] == [True, False, False]
    assert [parts["merged"] for parts in parts_of(GOOD, left)] == [0, 0], "a part of an object"
    nested = disc(110, 100, 40)
    assert parts_of(GOOD, nested, disc(110, 100, 30))[0]["merged"] == 0, "parts of each other"
    assert parts_of(GOOD, left, disc(180, 100, 40))[0]["merged"] == 0, "one of them reaches beyond it"
    assert parts_of(GOOD, left, right, prompt_id=7)[0]["merged"] == 0


def test_sizes_are_unusual_for_their_category() -> None:
    shares = np.array([0.1, 0.11, 0.09, 0.1, 0.1, 0.12, 0.1, 0.09, 0.001, 0.5])
    categories = np.array(["disc"] * 9 + ["ring"])
    far = unusual_sizes(shares, categories)
    assert np.nanargmax(far) == 8 and far[8] > 10
    assert np.isnan(far[9])  # of one alone nothing is usual


def test_what_is_unknown_counts_nothing() -> None:
    crop = MaskCrop(GOOD, 0, 0, WIDTH, HEIGHT)
    parts = suspicion_parts(measure_masks([{"segmentation": crop.rle}], [crop], None))
    assert join_parts(parts)[0] == 0


def test_an_image_may_have_hundreds_of_masks() -> None:
    masks = [disc(110, 100, 60) & (np.arange(WIDTH) == n) for n in range(60, 160)] * 3  # pycocotools counts in a byte
    assert {round(parts["duplicate"], 1) for parts in parts_of(*masks)} == {0.9}
