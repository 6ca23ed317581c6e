"""The recipe of the objectness score."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file

from hqsam_cli.configs import ObjectsConfig
from hqsam_cli.data.pairs import find_pairs
from hqsam_cli.inference.objectness import SHAPE
from hqsam_cli.recipes import objectness
from hqsam_cli.recipes.objectness import HEIGHT, WIDTH, Rows, fit, mosaic, target_rows
from hqsam_cli.records import Instance, MaskCrop, Prompt
from hqsam_cli.weights.registry import build_model


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """`ecssd`: nine photos of a white rectangle."""
    for part in ("images", "masks"):
        (tmp_path / "ecssd" / part).mkdir(parents=True)
    for number in range(9):
        mask = np.zeros((150, 200), np.uint8)
        mask[40:100, 50:130] = 255
        Image.fromarray(np.repeat(mask[..., None], 3, 2)).save(tmp_path / "ecssd" / "images" / f"{number}.jpg")
        Image.fromarray(mask).save(tmp_path / "ecssd" / "masks" / f"{number}.png")
    return tmp_path


def crop(x: int, y: int, width: int, height: int) -> MaskCrop:
    return MaskCrop(np.ones((height, width), bool), x, y, 100, 100)


def test_a_mosaic_has_an_object_per_photo_in_its_place(data: Path) -> None:
    pairs, counts = find_pairs(data / "ecssd").pairs, set()
    for seed in range(12):
        scene = mosaic(pairs, seed)
        assert scene.image.shape == (HEIGHT, WIDTH, 3)
        white = scene.image[..., 0] > 127
        seen = np.any([own.full() for own in scene.objects], axis=0)
        assert (seen != white).mean() < 0.02
        counts.add(len(scene.objects))
    assert counts == {1, 4, 9}


def test_targets_follow_the_iou_and_masks_apart_count_less() -> None:
    truth = [crop(0, 0, 40, 40)]
    found = [crop(0, 0, 40, 40), crop(0, 0, 40, 22), crop(0, 0, 40, 10), crop(0, 0, 100, 100), crop(60, 60, 20, 20)]
    rows = target_rows([Instance(Prompt(), own, 0.9) for own in found], truth, np.zeros((5, 1)))
    assert rows.targets == pytest.approx([1, 0.5, 0, 0, 0])
    assert rows.weights.tolist() == [1, 1, 1, 1, objectness.APART_WEIGHT]
    alone = target_rows([Instance(Prompt(), own, 0.9) for own in found], [], np.zeros((5, 1)))
    assert alone.targets.tolist() == [0] * 5


def test_the_fit_separates_with_equal_priors() -> None:
    rng = np.random.default_rng(0)
    right = np.arange(400) % 8 == 0
    measures = rng.normal(size=(400, 3)) * [1, 5, 100]
    measures[right, 2] += 300
    weight, bias = fit(Rows(measures, right * 1.0, np.ones(400)))
    logits = measures @ weight + bias
    assert (logits[right] > 0).mean() > 0.9 and (logits[~right] < 0).mean() > 0.9
    assert abs(weight[2] * 100) > 10 * abs(weight[0])


def test_the_file_is_written_and_rows_are_computed_once(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    model = build_model("vit_tiny", image_size=128, device="cpu").eval()
    monkeypatch.setattr(objectness, "load_model", lambda *_: model)
    every = ObjectsConfig(grid_points=(2,), grid_iou=-1e9, grid_stability=0.0, duplicate_iou=1.0, part_size=0.0)
    monkeypatch.setattr(objectness, "FOUND", every)
    monkeypatch.setattr(objectness, "ObjectsConfig", lambda: every)
    monkeypatch.setattr(objectness, "PHOTOS", {"ecssd": 4, "balloon": 2})

    def alternating(_found: object, _objects: object, measures: np.ndarray) -> Rows:
        """A model without training finds no object."""
        return Rows(measures, np.arange(len(measures)) % 2.0, np.ones(len(measures)))

    monkeypatch.setattr(objectness, "target_rows", alternating)
    out = data / "out"
    arguments = ["objectness", str(data), str(out), "--mosaics", "5", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", arguments)
    objectness.main()
    printed = capsys.readouterr()
    assert "embedding: AUC" in printed.out and "shape: AUC" in printed.out
    assert {path.stem for path in (out / "rows").iterdir()} == {
        *(f"000{n}" for n in range(5)),
        *(f"ecssd-{n}" for n in (0, 3, 5, 8)),
    }
    tensors = load_file(out / "objectness.safetensors")
    assert tensors["embedding.weight"].shape == (len(SHAPE) + 256,) and tensors["shape.weight"].shape == (len(SHAPE),)
    monkeypatch.setattr(objectness, "_found_rows", lambda *_: pytest.fail("computed again"))
    objectness.main()
