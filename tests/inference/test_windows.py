"""Objects are segmented again in windows; everything else as without windows."""

from __future__ import annotations

from itertools import chain
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from hqsam_cli.inference.crops import Window
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.inference.windows import WindowPredictor, plan_windows
from hqsam_cli.modeling.prompt_encoder import PromptBatch
from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.records import Box, Instance, Prompt
from hqsam_cli.weights.checkpoints import load_model
from hqsam_cli.weights.registry import build_model

SIDE = 128  # input size of the random model


@pytest.fixture(scope="module")
def model() -> HQSam:
    torch.manual_seed(0)
    return build_model("vit_tiny", image_size=SIDE, device="cpu").eval().requires_grad_(False)


@pytest.fixture
def photo() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (600, 900, 3), dtype=np.uint8)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def same(one: Instance, other: Instance) -> bool:
    return one.predicted_iou == other.predicted_iou and np.array_equal(one.mask.full(), other.mask.full())


def answer_ellipses(features: Any, batch: PromptBatch, outputs: Any, **_: Any) -> Any:
    """Stands in for `HQSam.predict`: the mask prompt as it is, without one the ellipse in the box."""
    logits = batch.masks
    if logits is None:
        center = torch.arange(SIDE // 4) * 4 + 2.0
        (x0, y0), (x1, y1) = (batch.points[:, n].T[..., None, None] for n in (0, 1))
        squares = (2 * center - x0 - x1) ** 2 / (x1 - x0) ** 2 + (2 * center[:, None] - y0 - y1) ** 2 / (y1 - y0) ** 2
        logits = (1 - squares)[:, None]
    return {name: (logits, torch.ones(len(logits), 1)) for name in outputs}


def test_small_objects_of_a_mosaic_are_found() -> None:
    photo = np.random.default_rng(0).normal(110, 6, (3000, 4000, 3)).clip(0, 255).astype(np.uint8)
    gts, boxes = [], []
    for x, y in ((500, 400), (560, 470), (3300, 2500)):
        gt = np.zeros(photo.shape[:2], np.uint8)
        cv2.ellipse(gt, (x, y), (26, 4), 30, 0, 360, 1, -1)
        cv2.ellipse(gt, (x, y), (26, 4), 120, 0, 360, 1, -1)
        photo[gt > 0] = photo[gt > 0] // 2 + [90, 20, 10]
        left, top, width, height = cv2.boundingRect(gt)
        gts.append(gt > 0)
        boxes.append((left, top, left + width, top + height))
    model = load_model("lite")
    whole, windows = (kind(model).predict(photo, boxes=np.array(boxes)).mask for kind in (Predictor, WindowPredictor))
    assert max(iou(own, gt) for own, gt in zip(whole, gts, strict=True)) < 0.7
    assert min(iou(own, gt) for own, gt in zip(windows, gts, strict=True)) > 0.85


@pytest.mark.parametrize("shape", [(600, 900, 3), (900, 600, 3)])
def test_masks_are_placed_where_the_whole_image_has_them(
    model: HQSam, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "predict", answer_ellipses)
    boxes: list[Box] = [(100, 200, 250, 300), (500, 20, 590, 60), (450, 500, 600, 600)]
    work = [np.zeros(shape, np.uint8)], [[Prompt(n, box=box) for n, box in enumerate(boxes)]]
    (found,), (expected,) = (
        predictor.predict_batch(*work) for predictor in (WindowPredictor(model, windows="on"), Predictor(model))
    )
    for own, other in zip(found, expected, strict=True):
        assert own.mask.full().shape == shape[:2]
        assert 0.85 < iou(own.mask.full(), other.mask.full()) < 1


def test_windows_are_shared_by_objects_nearby() -> None:
    boxes: list[Box] = [(100, 100, 120, 110), (700, 500, 710, 520), (110, 108, 124, 122), (5, 5, 890, 590)]
    planned = plan_windows(dict(enumerate(boxes)), (600, 900, 3), SIDE)
    assert sorted(sorted(members) for members in planned.values()) == [[0, 2], [1]]
    for window, members in planned.items():
        for box in (boxes[n] for n in members):
            assert window.x0 <= box[0] < box[2] <= window.x1 and window.y0 <= box[1] < box[3] <= window.y1


def test_windows_stay_in_the_image() -> None:
    assert list(plan_windows({0: (880, 0, 900, 20)}, (30, 900, 3), SIDE)) == [Window(820, 0, 900, 30)]


def test_without_windows_masks_are_those_of_the_whole_image(model: HQSam, photo: np.ndarray) -> None:
    work = [photo, photo[:150, :150]], [[Prompt(1, box=(10, 10, 880, 590))], [Prompt(2, box=(10, 10, 30, 30))]]
    found, expected = (kind(model).predict_batch(*work) for kind in (WindowPredictor, Predictor))
    assert all(same(ours, theirs) for (ours,), (theirs,) in zip(found, expected, strict=True))
    ((in_window,),) = WindowPredictor(model, windows="on").predict_batch([photo[:150, :150]], work[1][1:])
    assert not same(in_window, expected[1][0])


def test_all_masks_of_a_prompt_are_those_of_its_window(model: HQSam, photo: np.ndarray) -> None:
    coarse = np.zeros(photo.shape[:2], bool)
    coarse[210:250, 310:340] = True
    small = Prompt(7, 3, (300, 200, 350, 260), np.array([[320, 220, 1], [340, 250, 0], [800, 20, 0]]), coarse, 0.5)
    large, spot = Prompt(8, box=(0, 0, 899, 599)), Prompt(9, box=(320, 230, 340, 245))
    predictor = WindowPredictor(model, choice="all", soft=True, compare_sam=True)
    (found,) = predictor.predict_batch([photo], [[large, small, spot]])
    assert [(own.prompt.annotation_id, own.mask_index) for own in found] == [
        (n, k) for n in (8, 7, 9) for k in range(3)
    ]
    for own in found[3:]:
        assert own.prompt in (small, spot) and own.sam is not None and own.probabilities is not None
        soft = np.zeros(photo.shape[:2], bool)
        height, width = own.probabilities.values.shape
        x, y = own.probabilities.x, own.probabilities.y
        soft[y : y + height, x : x + width] = own.probabilities.values >= 128
        assert np.array_equal(soft, own.mask.full())
        assert not same(own, own.sam)


def test_a_window_contains_all_foreground_points(model: HQSam, photo: np.ndarray) -> None:
    prompts = [Prompt(1, box=(10, 10, 30, 30), points=np.array([[890, 590, 1]]))]
    ((ours,), (theirs,)) = (kind(model).predict_batch([photo], [prompts])[0] for kind in (WindowPredictor, Predictor))
    assert same(ours, theirs)


def test_windows_are_encoded_in_batches_on_a_gpu(
    model: HQSam, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    corners = [(x, y, x + 9, y + 9) for x in (20, 300, 600, 850) for y in (20, 300, 550)]
    work = [photo, photo[::-1]], [[Prompt(n, box=box) for n, box in enumerate(corners)] for _ in range(2)]
    expected = WindowPredictor(model).predict_batch(*work)
    sizes, encode = list[int](), model.encode

    def counted(images: torch.Tensor, **more: Any) -> Any:
        sizes.append(len(images))
        return encode(images, **more)

    monkeypatch.setattr(model, "encode", counted)
    monkeypatch.setattr(Predictor, "on_cpu", False)
    found = WindowPredictor(model).predict_batch(*work)
    assert sizes == [2, 8, 4, 8, 4]
    for own, other in zip(chain(*found), chain(*expected), strict=True):
        assert own.prompt == other.prompt
        assert (own.mask.full() != other.mask.full()).mean() < 1e-3
