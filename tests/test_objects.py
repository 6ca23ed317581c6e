"""Masks of prompts, and of what no prompt is about."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hqsam_cli.configs import EverythingConfig, ObjectsConfig
from hqsam_cli.everything import MaskGenerator
from hqsam_cli.objects import ObjectPredictor, distinct
from hqsam_cli.predictor import Predictor
from hqsam_cli.records import Instance, MaskCrop, Prompt
from hqsam_cli.weights.registry import build_model

SIDE = 100
LOOSE = ObjectsConfig(grid_points=(2, 3), grid_iou=-1e9, grid_stability=0.0, duplicate_iou=1.0, part=1.0)


def square(x: int, y: int, side: int) -> Instance:
    return Instance(Prompt(), MaskCrop(np.ones((side, side), bool), x, y, SIDE, SIDE), 0.9)


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
    assert distinct(found, 1, ObjectsConfig()) == [0, 2, 5]
    assert distinct(found, 2, ObjectsConfig()) == [0, 1, 2, 5]
    assert distinct([square(0, 0, 0)], 0, ObjectsConfig()) == distinct([], 0, ObjectsConfig()) == []


def test_a_part_of_a_mask_that_is_itself_left_out_goes_by_those_that_stay() -> None:
    whole, copy = square(0, 0, 50), square(0, 0, 49)
    part = square(2, 2, 9)
    assert distinct([whole, copy, part], 0, ObjectsConfig()) == [0]


def test_the_masks_of_prompts_come_first_and_are_those_of_the_predictor(
    predictor: Predictor, image: np.ndarray
) -> None:
    prompts = [Prompt(7, box=(5, 5, 60, 50)), Prompt(9, box=(20, 30, 90, 95))]
    (alone,) = predictor.predict_batch([image], [prompts])
    (found,) = ObjectPredictor(predictor, LOOSE).predict_batch([image], [prompts])
    assert [instance.prompt for instance in found[:2]] == prompts
    for mine, other in zip(found, alone, strict=False):
        assert np.array_equal(mine.mask.full(), other.mask.full())
    assert all(instance.prompt.points is not None for instance in found[2:])


def test_points_under_a_mask_are_not_asked(predictor: Predictor, image: np.ndarray) -> None:
    best = Predictor(predictor.model, choice="best", prompts_per_batch=4)
    config = EverythingConfig(points_per_side=3, pred_iou_thresh=-1e9, stability_score_thresh=0.0, box_nms_thresh=1.0)
    generator, encoded = MaskGenerator(best, config), best.encode([image], hq=True)
    covered = np.zeros((SIDE, SIDE), bool)
    everywhere = generator.generate_outside(image, encoded, covered, 3)
    assert len(everywhere) == len(generator.generate([image])[0]) > 1
    covered[:, : SIDE // 2] = True
    right = [instance.more["point_coords"][0] for instance in generator.generate_outside(image, encoded, covered, 3)]
    points = [instance.more["point_coords"][0] for instance in everywhere]
    assert right == [point for point in points if point[0] >= SIDE // 2]
    assert generator.generate_outside(image, encoded, ~np.zeros((SIDE, SIDE), bool), 3) == []
