"""The most salient object of an image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hqsam_cli.inference.prediction import AnyImage
from hqsam_cli.inference.predictor import EncodedImages, Predictor
from hqsam_cli.inference.preprocess import ResizeLongestSide
from hqsam_cli.inference.salient import SalientPredictor, saliency_features, salient_prompt
from hqsam_cli.records import Prompt
from hqsam_cli.weights.registry import build_model

WIDTH, HEIGHT = 200, 100


class TopRight(nn.Module):
    """A head for which the upper right quarter is salient."""

    def forward(self, embedding: Tensor) -> Tensor:
        logits = torch.full((1, *embedding.shape[2:]), -9.0)
        logits[:, : embedding.shape[2] // 2, embedding.shape[3] // 2 :] = 9.0
        return logits


def predictor_of(side: int) -> Predictor:
    torch.manual_seed(0)
    return Predictor(build_model("vit_tiny", image_size=side, device="cpu").eval().requires_grad_(False))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return predictor_of(256)


def photo(seed: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_the_prompt_is_a_box_around_the_large_parts_of_the_salient_region() -> None:
    resize = ResizeLongestSide.of(240, 320, 1024)  # cells of 10 × 10 pixels of the image
    saliency = np.full((24, 32), 0.1, np.float32)
    saliency[4:20, 8:12] = 0.8
    saliency[4:20, 14:16] = 0.6
    saliency[22, 30] = 0.9
    prompt = salient_prompt(saliency, resize)
    assert prompt.box == pytest.approx((80, 40, 160, 200), abs=12)
    assert prompt.box is not None and prompt.box[0] < 80 and prompt.box[2] > 160  # enlarged
    assert prompt.score == pytest.approx((64 * 0.8 + 32 * 0.6 + 0.9) / 97)


def test_a_weak_map_has_an_object_too_of_a_low_score() -> None:
    saliency = np.full((8, 8), 0.02, np.float32)
    saliency[2:4, 2:4] = 0.08
    prompt = salient_prompt(saliency, ResizeLongestSide.of(256, 256, 256))
    assert prompt.score == pytest.approx(0.08) and prompt.box == pytest.approx((64, 64, 128, 128), abs=12)


def test_features_are_those_of_the_image_without_padding(predictor: Predictor) -> None:
    encoded = predictor.encode([photo(0), photo(1, 90, 60)])
    assert saliency_features(encoded, 0).shape == (1, 256, 4, 8)  # 256 × 128 pixels of the input
    assert saliency_features(encoded, 1).shape == (1, 256, 8, 6)
    means = encoded.features.embedding[1, :, 2:4, 4:6].mean(dim=(1, 2))
    assert torch.allclose(saliency_features(encoded, 1)[0, :, 1, 2], means, atol=1e-6)


@pytest.mark.parametrize("side", [None, 128])
def test_each_image_has_the_mask_of_a_box_around_its_salient_region(predictor: Predictor, side: int | None) -> None:
    """Also if another encoder, of another input size, sees the image."""
    encoder = None if side is None else predictor_of(side)
    salient = SalientPredictor(predictor, TopRight(), encoder)  # type: ignore[arg-type]
    assert salient.generate([]) == []
    images: list[AnyImage] = [photo(0), salient.resize(photo(1))]
    for image, found in zip(images, salient.generate(images), strict=True):
        (instance,) = found
        assert instance.prompt.box == pytest.approx((100, 0, 200, 50), abs=15)
        ((expected,),) = predictor.predict_batch([image], [[Prompt(box=instance.prompt.box)]])
        assert np.array_equal(instance.mask.full(), expected.mask.full())
        assert instance.predicted_iou == pytest.approx(expected.predicted_iou)


def test_images_of_a_batch_are_encoded_together_on_a_gpu(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    images, batches = [photo(0), photo(1)], list[int]()
    salient, encode = SalientPredictor(predictor, TopRight()), predictor.encode  # type: ignore[arg-type]
    alone = salient.generate(images)

    def counted(own: list[np.ndarray]) -> EncodedImages:
        batches.append(len(own))
        return encode(own)

    monkeypatch.setattr(Predictor, "on_cpu", False)
    monkeypatch.setattr(predictor, "encode", counted)
    together = salient.generate(images)
    assert batches == [2]
    assert [own.prompt.box for (own,) in together] == [own.prompt.box for (own,) in alone]
