"""The recipe of the saliency head."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.modeling.saliency import SaliencyHead
from hqsam_cli.recipes import saliency
from hqsam_cli.recipes.saliency import Sample, loss_of, train
from hqsam_cli.weights.registry import build_model


def test_the_head_learns_where_the_object_is() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = list[Sample]()
    for n in range(12):
        target = torch.zeros(8, 6 + n % 3)
        y, x = torch.randint(0, 5, (2,), generator=generator).tolist()
        target[y : y + 3, x : x + 3] = 1
        noise = torch.randn(8, *target.shape, generator=generator)
        samples.append(Sample(noise + 2 * target * torch.tensor([1.0, -1.0] * 4)[:, None, None], target))
    head = train(samples[:8], epochs=150)
    maps = [head(own.features[None])[0] > 0 for own in samples[8:]]
    assert min(iou(seen.numpy(), own.target.numpy() > 0) for seen, own in zip(maps, samples[8:], strict=True)) > 0.7


def test_the_loss_is_least_for_the_right_map() -> None:
    target = torch.zeros(6, 6)
    target[:2, :3] = 1
    right, shifted, nothing = 12 * target - 6, 12 * target.roll(1, 0) - 6, torch.full((6, 6), -6.0)
    assert loss_of(right, target) < 0.02 < loss_of(shifted, target) < loss_of(nothing, target)


def test_the_file_is_written_and_photos_are_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("images", "masks"):
        (tmp_path / "ecssd" / part).mkdir(parents=True)
    for number in range(5):
        mask = np.zeros((75, 100), np.uint8)
        mask[20:50, 10 * number : 10 * number + 40] = 255
        Image.fromarray(np.repeat(mask[..., None], 3, 2)).save(tmp_path / "ecssd" / "images" / f"{number}.jpg")
        Image.fromarray(mask).save(tmp_path / "ecssd" / "masks" / f"{number}.png")
    torch.manual_seed(0)
    model, out = build_model("vit_tiny", image_size=128, device="cpu").eval(), tmp_path / "out"
    monkeypatch.setattr(saliency, "load_model", lambda *_: model)
    options = ["--photos", "3", "--epochs", "2", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["saliency", str(tmp_path), str(out), *options])
    saliency.main()
    assert sorted(path.stem for path in (out / "samples").iterdir()) == ["ecssd-0", "ecssd-2", "ecssd-4"]
    with np.load(out / "samples" / "ecssd-0.npz") as saved:
        assert saved["features"].shape == (256, 3, 4)
        assert saved["target"].sum() * 32**2 == pytest.approx(40 * 30 * 1.28**2, rel=0.02)
    first = load_file(out / "saliency.safetensors")
    SaliencyHead(256).load_state_dict({name: values.float() for name, values in first.items()})
    monkeypatch.setattr(Predictor, "encode", lambda *_, **__: pytest.fail("encoded again"))
    saliency.main()
    second = load_file(out / "saliency.safetensors")
    assert all(torch.equal(values, second[name]) for name, values in first.items())
