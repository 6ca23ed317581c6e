"""Masks of prompts, and of what no prompt is about."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hqsam_cli.configs import EverythingConfig, ObjectsConfig
from hqsam_cli.inference.everything import MaskGenerator
from hqsam_cli.inference.objects import ObjectPredictor, distinct
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.records import MaskCrop, Prompt
from hqsam_cli.weights.registry import build_model

SIDE = 100
LOOSE = ObjectsConfig(grid_points=(2, 3), grid_iou=-1e9, grid_stability=0.0, duplicate_iou=1.0, part=1.0)


def square(x: int, y: int, side: int) -> MaskCrop:
    return MaskCrop(np.ones((side, side), bool), x, y, SIDE, SIDE)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(build_model("vit_tiny", image_size=128).eval().requires_grad_(False), prompts_per_batch=4)


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)


def test_copies_and_parts_stay_out_and_what_was_detected_stays() -> None:
    person, shirt, face, sky = square(0, 0, 40), square(5, 5, 20), square(10, 10, 10), square(50, 50, 50)
    same_sky, edge = square(51, 51, 49), square(36, 0, 20)
    found = [person, shirt, sky, same_sky, face, edge]
    config = ObjectsConfig(part_size=0.5)
    assert distinct(found, config) == [0, 2, 5]
    assert distinct(found, config, known=2) == [0, 1, 2, 5]
    assert distinct(found, ObjectsConfig(part_size=0.2)) == [0, 1, 2, 5]  # a shirt is more than a part
    assert distinct(found, config, wholes=0) == [0, 1, 2, 4, 5]  # copies go all the same
    assert distinct(found, config, wholes=1) == [0, 2, 5]
    assert distinct([square(0, 0, 0)], config) == distinct([], config) == []


def test_there_may_be_hundreds() -> None:
    many = [square(x, y, 3) for x in range(0, 96, 4) for y in range(0, 96, 4)]
    assert distinct([*many, many[0]], ObjectsConfig()) == list(range(len(many)))


def test_a_part_of_a_mask_that_is_itself_left_out_goes_by_those_that_stay() -> None:
    whole, copy = square(0, 0, 50), square(0, 0, 49)
    part = square(2, 2, 9)
    assert distinct([whole, copy, part], ObjectsConfig()) == [0]


def test_the_masks_of_prompts_come_after_those_of_points_and_are_those_of_the_predictor(
    predictor: Predictor, image: np.ndarray
) -> None:
    prompts = [Prompt(7, box=(5, 5, 60, 50)), Prompt(9, box=(20, 30, 90, 95))]
    objects = ObjectPredictor(predictor, LOOSE)
    boxes = objects.propose(predictor.encode([image], hq=True))
    (alone,) = predictor.predict_batch([image], [[*(Prompt(box=box) for box in boxes), *prompts]])
    (found,) = objects.predict_batch([image], [prompts])
    assert len(found) == len(alone) == len(boxes) + 2 > 2
    assert [instance.prompt for instance in found[-2:]] == prompts
    for mine, other in zip(found, alone, strict=True):
        assert np.array_equal(mine.mask.full(), other.mask.full())


def test_what_points_find_are_the_boxes_of_the_stable_masks_of_sam(predictor: Predictor, image: np.ndarray) -> None:
    wide = np.concatenate([image, image], axis=1)
    encoded = predictor.encode([wide], hq=True)
    config = replace(LOOSE, grid_points=(3,))
    boxes = ObjectPredictor(predictor, config).propose(encoded)
    generator = MaskGenerator(
        Predictor(predictor.model, mask_output="sam", choice="all"),
        EverythingConfig(points_per_side=3, pred_iou_thresh=-1e9, stability_score_thresh=0.0, box_nms_thresh=1.0),
    )
    (everything,) = generator.generate([wide])
    theirs = [instance.mask.tight_box() for instance in everything]
    assert len(boxes) > 1
    for x0, y0, x1, y1 in boxes:  # of masks of a quarter of the model's side: to their pixels
        near = [max(abs(x0 - x), abs(y0 - y), abs(x1 - x - w), abs(y1 - y - h)) for x, y, w, h in theirs]
        assert min(near) <= 2 * 4 * 200 / 128
    assert ObjectPredictor(predictor, replace(config, grid_iou=1e9)).propose(encoded) == []
    assert ObjectPredictor(predictor, replace(config, grid_stability=1.1)).propose(encoded) == []


def test_points_under_a_mask_are_not_asked(predictor: Predictor, image: np.ndarray) -> None:
    asked: list[int] = []

    class Counting(Predictor):
        def logits(self, encoded: Any, prompts: Any, *arguments: Any, **options: Any) -> Any:
            asked.append(len(prompts))
            return super().logits(encoded, prompts, *arguments, **options)

    objects, encoded = ObjectPredictor(predictor, replace(LOOSE, grid_points=(4,))), predictor.encode([image], hq=True)
    objects.at_points = Counting(predictor.model, mask_output="sam", choice="all")
    left = MaskCrop(np.ones((SIDE, SIDE // 2), bool), 0, 0, SIDE, SIDE)
    for known in ([], [left], [left, square(0, 0, SIDE)]):
        objects.propose(encoded, known)
    assert asked == [16, 8, 0]


def test_copies_and_parts_of_known_masks_are_not_proposed(
    predictor: Predictor, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = predictor.encode([image], hq=True)  # 100 pixels are 32 of the decoder's
    found = [MaskCrop(np.ones((h, w), bool), x, y, 32, 32) for x, y, w, h in ((8, 8, 16, 16), (26, 26, 6, 6))]
    monkeypatch.setattr(ObjectPredictor, "_masks_at", lambda *_: found)
    objects = ObjectPredictor(predictor, ObjectsConfig(grid_points=(1,)))
    middle, corner = (25, 25, 75, 75), (81.25, 81.25, 100, 100)
    assert objects.propose(encoded) == [middle, corner]
    assert objects.propose(encoded, [square(0, 0, 10)]) == [middle, corner]
    assert objects.propose(encoded, [square(25, 25, 50)]) == [corner]
    assert objects.propose(encoded, [square(0, 0, SIDE)]) == [middle]  # a quarter of it, and so more than a part
