"""Masks do not depend on batch sizes, and a model prepared for inference has the same logits."""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hqsam_cli.inference.predictor import Predictor, prepare_for_inference
from hqsam_cli.modeling.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PromptBatch
from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.modeling.tiny_vit import ConvNorm
from hqsam_cli.records import Prompt
from hqsam_cli.weights.registry import build_model
from tests.modeling.conftest import randomized


@pytest.fixture(scope="module")
def model() -> HQSam:
    torch.manual_seed(0)
    return build_model("vit_tiny", image_size=128, device="cpu").eval().requires_grad_(False)


@pytest.fixture(scope="module")
def work() -> tuple[list[np.ndarray], list[list[Prompt]]]:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (height, 90, 3), dtype=np.uint8) for height in (60, 90, 120)]
    boxes = [(5.0, 5.0, 60.0, 50.0), (20.0, 10.0, 80.0, 55.0), (1.0, 2.0, 30.0, 40.0)]
    prompts = [[Prompt(10 * n + k, box=box) for k, box in enumerate(boxes)] for n in range(3)]
    return images, prompts


def _refusing(function: Any, most: int, size_of: Any) -> Any:
    """`function` that raises an out-of-memory error for batches larger than `most`."""

    def limited(*args: Any, **kwargs: Any) -> Any:
        if size_of(*args) > most:
            raise torch.cuda.OutOfMemoryError("no room")
        return function(*args, **kwargs)

    return limited


def test_smaller_batches_have_the_same_masks(
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
def test_too_little_memory_for_one_is_a_memory_error(
    model: HQSam, work: tuple[list[np.ndarray], list[list[Prompt]]], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, method, _refusing(getattr(model, method), 0, lambda *_: 1))
    with pytest.raises(MemoryError, match="smaller `model`"):
        Predictor(model).predict_batch(*work)


def test_images_without_prompts_are_not_encoded(model: HQSam, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "encode", _refusing(model.encode, 0, lambda *_: 1))
    assert Predictor(model).predict_batch([np.zeros((8, 8, 3), np.uint8)], [[]]) == [[]]


def test_comparing_with_sam_does_not_change_the_masks(
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


@torch.no_grad()
def test_a_prepared_model_has_the_same_logits() -> None:
    torch.manual_seed(0)
    plain = randomized(build_model("vit_tiny", image_size=256, device="cpu"))
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    prepared = prepare_for_inference(copy.deepcopy(plain), "cpu")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in prepared.modules())
    prompts = PromptBatch(
        torch.zeros(1, dtype=torch.long),
        torch.tensor([[[20.0, 30.0], [150.0, 200.0]]]),
        torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]]),
        None,
    )
    images = torch.randn(2, 3, 256, 256)
    ours, theirs = (m.decode(m.encode(images), prompts) for m in (prepared, plain))
    for made, wanted in ((ours.sam, theirs.sam), (ours.hq, theirs.hq)):
        assert made is not None and wanted is not None
        assert float((made - wanted).abs().max()) < 1e-4 * float(wanted.max() - wanted.min())


def test_convolutions_of_the_small_encoder_stay_in_float32_on_a_cpu() -> None:
    model = prepare_for_inference(build_model("vit_tiny", image_size=256, device="cpu"), "cpu", torch.bfloat16)
    encoder = model.image_encoder
    assert {own.c.weight.dtype for own in encoder.modules() if isinstance(own, ConvNorm)} == {torch.float32}
    assert {own.weight.dtype for own in encoder.modules() if isinstance(own, nn.Linear)} == {torch.bfloat16}
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        first = encoder.get_submodule("patch_embed")(torch.randn(1, 3, 64, 64))
    assert first.dtype == torch.float32


@pytest.mark.filterwarnings("ignore:Guards may run slower on Python 3.13.0:RuntimeWarning")
@pytest.mark.parametrize("architecture", ["vit_tiny", "vit_b"])
def test_encoders_compile_to_one_graph_with_the_same_features(architecture: str) -> None:
    model = prepare_for_inference(build_model(architecture, image_size=128, device="cpu"), "cpu")
    predictor = Predictor(model, mask_output="sum")
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    expected = predictor.encode([image]).features
    predictor.model.image_encoder.compile(backend="aot_eager", fullgraph=True)
    for own, wanted in zip(predictor.encode([image]).features, expected, strict=True):
        assert own is not None and wanted is not None
        torch.testing.assert_close(own, wanted)
