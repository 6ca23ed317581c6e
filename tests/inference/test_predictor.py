"""What people notice of the model stage: results do not depend on how much fits the device at once."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch

from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.records import Prompt
from hqsam_cli.weights.registry import build_model


@pytest.fixture(scope="module")
def model() -> HQSam:
    torch.manual_seed(0)
    return build_model("vit_tiny", image_size=128).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def work() -> tuple[list[np.ndarray], list[list[Prompt]]]:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (height, 90, 3), dtype=np.uint8) for height in (60, 90, 120)]
    boxes = [(5.0, 5.0, 60.0, 50.0), (20.0, 10.0, 80.0, 55.0), (1.0, 2.0, 30.0, 40.0)]
    prompts = [[Prompt(10 * n + k, box=box) for k, box in enumerate(boxes)] for n in range(3)]
    return images, prompts


def _refusing(function: Any, most: int, size_of: Any) -> Any:
    """`function` on a device that holds `most` things at once."""

    def limited(*args: Any, **kwargs: Any) -> Any:
        if size_of(*args) > most:
            raise torch.cuda.OutOfMemoryError("no room")
        return function(*args, **kwargs)

    return limited


def test_a_small_device_gives_the_same_masks(
    model: HQSam, work: tuple[list[np.ndarray], list[list[Prompt]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Predictor(model).predict_batch(*work)
    monkeypatch.setattr(model, "encode", _refusing(model.encode, 1, lambda images: len(images)))
    monkeypatch.setattr(model, "predict", _refusing(model.predict, 2, lambda _, batch, *__: len(batch.image_index)))
    small = Predictor(model)
    parts = small.predict_batch(*work)
    assert small.prompts_per_batch == 2
    assert [[i.prompt.annotation_id for i in image] for image in parts] == [[0, 1, 2], [10, 11, 12], [20, 21, 22]]
    for one, other in zip(chain(*whole), chain(*parts), strict=True):
        assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-4)
        assert (one.mask.full() != other.mask.full()).mean() < 1e-3


@pytest.mark.parametrize("method", ["encode", "predict"])
def test_a_device_too_small_for_one_is_out_of_memory(
    model: HQSam, work: tuple[list[np.ndarray], list[list[Prompt]]], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, method, _refusing(getattr(model, method), 0, lambda *_: 1))
    with pytest.raises(MemoryError, match="smaller `model`"):
        Predictor(model).predict_batch(*work)


def test_images_without_prompts_are_not_encoded(model: HQSam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "encode", _refusing(model.encode, 0, lambda *_: 1))
    assert Predictor(model).predict_batch([np.zeros((8, 8, 3), np.uint8)], [[]]) == [[]]


def test_the_masks_of_sam_beside_change_nothing(
    model: HQSam, work: tuple[list[np.ndarray], list[list[Prompt]]]
) -> None:
    alone = chain(*Predictor(model).predict_batch(*work))
    beside = list(chain(*Predictor(model, compare_sam=True).predict_batch(*work)))
    plain = chain(*Predictor(model, mask_output="sam").predict_batch(*work))
    differ = 0
    for one, both, sam in zip(alone, beside, plain, strict=True):
        assert one.sam is None and both.sam is not None
        assert np.array_equal(one.mask.full(), both.mask.full())
        assert np.array_equal(sam.mask.full(), both.sam.mask.full())
        assert sam.predicted_iou == pytest.approx(both.sam.predicted_iou, abs=1e-5)
        differ += int((both.mask.full() != both.sam.mask.full()).sum())
    assert differ
