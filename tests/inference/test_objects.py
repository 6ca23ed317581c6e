"""Objects that a grid of points proposes, with and without prompts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hqsam_cli.configs import EverythingConfig, ObjectsConfig
from hqsam_cli.inference.everything import MaskGenerator
from hqsam_cli.inference.objectness import SHAPE, Objectness
from hqsam_cli.inference.objects import ObjectPredictor, distinct, to_low_res
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.records import MaskCrop, Prompt
from hqsam_cli.weights.registry import build_model

SIDE = 100
LOOSE = ObjectsConfig(grid_points=(2, 3), grid_iou=-1e9, grid_stability=0.0, min_score=0.0, duplicate_iou=1.0, part=1.0)


def square(x: int, y: int, side: int) -> MaskCrop:
    return MaskCrop(np.ones((side, side), bool), x, y, SIDE, SIDE)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    torch.manual_seed(0)
    return Predictor(
        build_model("vit_tiny", image_size=128, device="cpu").eval().requires_grad_(False), prompts_per_batch=4
    )


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)


def test_duplicates_and_parts_are_removed_except_known_objects() -> None:
    person, shirt, face, sky = square(0, 0, 40), square(5, 5, 20), square(10, 10, 10), square(50, 50, 50)
    same_sky, edge = square(51, 51, 49), square(36, 0, 20)
    found = [person, shirt, sky, same_sky, face, edge]
    config = ObjectsConfig(part_size=0.5)
    assert distinct(found, config) == [0, 2, 5]
    assert distinct(found, config, known=2) == [0, 1, 2, 5]
    assert distinct(found, ObjectsConfig(part_size=0.2)) == [0, 1, 2, 5]  # too large for a part
    assert distinct(found, config, wholes=0) == [0, 1, 2, 4, 5]  # duplicates are removed all the same
    assert distinct(found, config, wholes=1) == [0, 2, 5]
    assert distinct([square(0, 0, 0)], config) == distinct([], config) == []


def test_hundreds_of_masks_are_accepted() -> None:
    many = [square(x, y, 3) for x in range(0, 96, 4) for y in range(0, 96, 4)]
    assert distinct([*many, many[0]], ObjectsConfig()) == list(range(len(many)))


def test_parts_are_judged_by_the_masks_that_are_kept() -> None:
    whole, copy = square(0, 0, 50), square(0, 0, 49)
    part = square(2, 2, 9)
    assert distinct([whole, copy, part], ObjectsConfig()) == [0]


def test_masks_of_points_precede_those_of_prompts_and_equal_the_predictors(
    predictor: Predictor, image: np.ndarray
) -> None:
    prompts = [Prompt(7, box=(5, 5, 60, 50)), Prompt(9, box=(20, 30, 90, 95))]
    objects = ObjectPredictor(predictor, LOOSE, None, lambda _: [prompts])
    boxes = objects.propose(predictor.encode([image], hq=True))
    (alone,) = predictor.predict_batch([image], [[*(Prompt(box=box) for box in boxes), *prompts]])
    (found,) = objects.generate([image])
    assert len(found) == len(alone) == len(boxes) + 2 > 2
    assert [instance.prompt for instance in found[-2:]] == prompts
    for mine, other in zip(found, alone, strict=True):
        assert np.array_equal(mine.mask.full(), other.mask.full())


def test_masks_are_scored_ordered_and_cut_by_their_objectness(predictor: Predictor, image: np.ndarray) -> None:
    by_size = Objectness(np.eye(len(SHAPE), dtype=np.float32)[SHAPE.index("size")], 0.0)
    prompts = [Prompt(7, box=(5, 5, 60, 50), score=0.2), Prompt(9, box=(20, 30, 90, 95))]
    (resize,) = predictor.encode([image], hq=False).resizes
    (found,) = ObjectPredictor(predictor, LOOSE, by_size, lambda _: [prompts]).generate([image])
    scores = [own.score for own in found]
    assert scores == sorted(scores, reverse=True) and {7, 9} <= {own.prompt.annotation_id for own in found}
    for own in found:
        size = np.sqrt(to_low_res(own.mask, resize).mean())
        assert own.to_coco(1)["score"] == pytest.approx(1 / (1 + np.exp(-size)), abs=1e-5)
        assert own.to_coco(1)["predicted_iou"] == pytest.approx(own.predicted_iou, abs=1e-5)
    cut = replace(LOOSE, min_score=(scores[0] + scores[-1]) / 2)
    (fewer,) = ObjectPredictor(predictor, cut, by_size, lambda _: [prompts]).generate([image])
    assert 0 < len(fewer) < len(found)
    assert [own.score for own in fewer] == [score for score in scores if score >= cut.min_score]


def test_images_of_a_batch_are_encoded_together_on_a_gpu(
    predictor: Predictor, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, prompts, batches = [image, image[:60, ::-1].copy()], [Prompt(7, box=(5, 5, 60, 50))], list[int]()
    objects = ObjectPredictor(
        predictor, LOOSE, None, lambda seen: [prompts if len(own) == SIDE else [] for own in seen]
    )
    alone = objects.generate(images)
    encode = predictor.model.encode

    def counting(x: torch.Tensor, *, hq: bool) -> Any:
        batches.append(len(x))
        return encode(x, hq=hq)

    monkeypatch.setattr(Predictor, "on_cpu", False)
    monkeypatch.setattr(predictor.model, "encode", counting)
    together = objects.generate(images)
    assert batches == [2]
    for own, other in zip(alone, together, strict=True):
        assert len(own) == len(other) > 1
        for one, two in zip(own, other, strict=True):
            assert one.prompt.annotation_id == two.prompt.annotation_id
            assert (one.mask.full() != two.mask.full()).mean() < 1e-3
    assert objects.generate([]) == []


def test_proposals_are_boxes_of_stable_masks_of_sam(predictor: Predictor, image: np.ndarray) -> None:
    wide = np.concatenate([image, image], axis=1)
    encoded = predictor.encode([wide], hq=True)
    config = replace(LOOSE, grid_points=(3,))
    boxes = ObjectPredictor(predictor, config, None).propose(encoded)
    generator = MaskGenerator(
        Predictor(predictor.model, mask_output="sam", choice="all"),
        EverythingConfig(points_per_side=3, pred_iou_thresh=-1e9, stability_score_thresh=0.0, box_nms_thresh=1.0),
    )
    (everything,) = generator.generate([wide])
    theirs = [instance.mask.tight_box() for instance in everything]
    assert len(boxes) > 1
    for x0, y0, x1, y1 in boxes:  # to the resolution of low-resolution masks
        near = [max(abs(x0 - x), abs(y0 - y), abs(x1 - x - w), abs(y1 - y - h)) for x, y, w, h in theirs]
        assert min(near) <= 2 * 4 * 200 / 128
    assert ObjectPredictor(predictor, replace(config, grid_iou=1e9), None).propose(encoded) == []
    assert ObjectPredictor(predictor, replace(config, grid_stability=1.1), None).propose(encoded) == []


def test_points_in_known_masks_are_skipped(predictor: Predictor, image: np.ndarray) -> None:
    counts: list[int] = []

    class Counting(Predictor):
        def logits(self, encoded: Any, prompts: Any, *arguments: Any, **options: Any) -> Any:
            counts.append(len(prompts))
            return super().logits(encoded, prompts, *arguments, **options)

    objects = ObjectPredictor(predictor, replace(LOOSE, grid_points=(4,)), None)
    encoded = predictor.encode([image], hq=True)
    objects.at_points = Counting(predictor.model, mask_output="sam", choice="all")
    left = MaskCrop(np.ones((SIDE, SIDE // 2), bool), 0, 0, SIDE, SIDE)
    for known in ([], [left], [left, square(0, 0, SIDE)]):
        objects.propose(encoded, known)
    assert counts == [16, 8, 0]


def test_duplicates_and_parts_of_known_masks_are_not_proposed(
    predictor: Predictor, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = predictor.encode([image], hq=True)  # 100 pixels are 32 low-resolution ones
    found = [MaskCrop(np.ones((h, w), bool), x, y, 32, 32) for x, y, w, h in ((8, 8, 16, 16), (26, 26, 6, 6))]
    monkeypatch.setattr(ObjectPredictor, "_masks_at", lambda *_: found)
    objects = ObjectPredictor(predictor, ObjectsConfig(grid_points=(1,)), None)
    middle, corner = (25, 25, 75, 75), (81.25, 81.25, 100, 100)
    assert objects.propose(encoded) == [middle, corner]
    assert objects.propose(encoded, [square(0, 0, 10)]) == [middle, corner]
    assert objects.propose(encoded, [square(25, 25, 50)]) == [corner]
    assert objects.propose(encoded, [square(0, 0, SIDE)]) == [middle]  # a quarter of it is too large for a part
