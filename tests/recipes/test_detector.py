"""The recipe of the embedded detector."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from hqsam_cli.configs import ObjectsConfig
from hqsam_cli.data.pairs import find_pairs
from hqsam_cli.recipes import detector
from hqsam_cli.recipes.detector import average_precision, prepared_data, separate_objects
from hqsam_cli.records import MaskCrop, Prompt
from hqsam_cli.weights.registry import build_model


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """`data/ecssd` and `val`: four photos of a white rectangle each."""
    for folder in (tmp_path / "data" / "ecssd", tmp_path / "val"):
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        for number in range(4):
            mask = np.zeros((300, 600), np.uint8)
            mask[60 : 180 + 10 * number, 90:390] = 255
            Image.fromarray(np.repeat(mask[..., None], 3, 2)).save(folder / "images" / f"{number}.jpg")
            Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    return tmp_path


def test_separate_objects_are_boxes_of_their_own_and_crumbs_are_none() -> None:
    mask = np.zeros((200, 300), np.uint8)
    mask[20:80, 10:110] = 1
    mask[20:80, 60:62] = 0  # a slit
    mask[100:180, 200:290] = 1
    mask[190:193, 5:8] = 1  # a crumb
    assert [own.tight_box() for own in separate_objects(mask)] == [(200, 100, 90, 80), (10, 20, 100, 60)]


def test_the_data_set_is_small_and_its_boxes_are_shares(sets: Path) -> None:
    def find(_: np.ndarray, __: object) -> list[detector.Box]:
        return [(92, 61, 299, 118), (450, 30, 120, 60)]  # what a mask is of already, and another

    yaml = prepared_data(sets / "data", sets / "val", sets / "out", photos=3, scenes=2, find=lambda: find)
    train = yaml.parent / "train"
    assert len(list((train / "images").glob("*.jpg"))) == len(list((train / "labels").glob("*.txt"))) == 5
    with Image.open(train / "images" / "ecssd-0.jpg") as image:
        assert image.size == (448, 224)
    assert (train / "labels" / "ecssd-0.txt").read_text() == "0 0.4 0.4 0.5 0.4\n0 0.85 0.2 0.2 0.2\n"
    assert (train / "labels" / "scenes-0000.txt").read_text().startswith("0 0.")
    assert (yaml.parent / "val" / "labels" / "val-0.txt").read_text() == "0 0.4 0.4 0.5 0.4\n0 0.85 0.2 0.2 0.2\n"


def test_what_was_labeled_before_a_stop_is_not_labeled_again(sets: Path) -> None:
    asked: list[int] = []

    def find(_: np.ndarray, __: object) -> list[detector.Box]:
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return []

    options: dict[str, Any] = {"photos": 9, "scenes": 1, "find": lambda: find}
    with pytest.raises(KeyboardInterrupt):
        prepared_data(sets / "data", sets / "val", sets / "out", **options)
    prepared_data(sets / "data", sets / "val", sets / "out", **options)
    assert len(asked) == 9


def test_ground_and_crumbs_are_no_objects() -> None:
    sky, wall, crumb, cup = (0, 0, 300, 60), (0, 1, 300, 200), (5, 5, 8, 8), (0, 50.2, 90, 200)
    assert detector.likely_objects([sky, wall, crumb, cup], 200, 300) == [(0, 50, 90, 150)]


def test_what_has_a_mask_is_not_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = build_model("vit_tiny", image_size=128, device="cpu").eval()
    monkeypatch.setattr(detector, "load_model", lambda *_: model)
    monkeypatch.setattr(detector, "FOUND", ObjectsConfig(grid_iou=-1e9, grid_stability=0.0))
    monkeypatch.setattr(detector, "BORDERS", 5)
    find = detector.finder("any", "cpu")
    image = np.random.default_rng(0).integers(0, 255, (80, 100, 3), dtype=np.uint8)
    assert find(image, [])
    assert find(image, [MaskCrop.whole(np.ones((80, 100), bool))]) == []


def test_average_precision_is_that_of_coco(sets: Path) -> None:
    def exact(images: list[np.ndarray]) -> list[list[Prompt]]:
        right = [np.argwhere(image[..., 0] > 127) for image in images]
        return [[Prompt(1, box=(*p.min(0)[::-1], *(p.max(0)[::-1] + 1)), score=0.9)] for p in right]

    def doubled(images: list[np.ndarray]) -> list[list[Prompt]]:
        return [[Prompt(1, box=(0, 0, 20, 20), score=0.95), *own] for own in exact(images)]

    assert average_precision(find_pairs(sets / "val"), exact) == pytest.approx(1.0)
    assert average_precision(find_pairs(sets / "val"), doubled) == pytest.approx(0.5, abs=0.01)
    assert average_precision(find_pairs(sets / "val"), lambda images: [[] for _ in images]) == 0


@pytest.mark.filterwarnings("ignore:`get_trial_id`")  # where Ray is installed, ultralytics looks for a trial of it
def test_one_epoch_makes_a_file_that_detects_and_again_only_scores(
    sets: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["detector", sets / "data", sets / "out", "--val", sets / "val", "--epochs", "1", "1", "--batch", "4"]
    monkeypatch.setattr(detector, "finder", lambda *_: lambda _image, _masks: [])
    monkeypatch.setattr(sys, "argv", [str(a) for a in (*arguments, "--scenes", "1", "--device", "cpu")])
    detector.main()
    out, err = capsys.readouterr()
    assert "epoch 1 of 1: AP50" in err
    assert "AP50" in out
    path = sets / "out" / "object-nano.safetensors"
    assert path.stat().st_size < 6e6
    before = path.read_bytes()
    detector.main()
    assert "AP50" not in capsys.readouterr().err
    assert path.read_bytes() == before
