"""The loop: what it changes, how it continues, what it leaves behind when the disk is full."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hqsam_cli.configs import TrainConfig
from hqsam_cli.data.pairs import ImageMaskFolder
from hqsam_cli.errors import HqsamError
from hqsam_cli.progress import Silent
from hqsam_cli.training.criterion import Criterion
from hqsam_cli.training.data import AugmentedPairs, Samples
from hqsam_cli.training.distributed import World
from hqsam_cli.training.trainer import Trainer
from hqsam_cli.training.variants import prepare
from tests.full_disk import files_of_at_most

from .conftest import copied, equal, small_model

CPU = World(torch.device("cpu"))


def training(
    folder: ImageMaskFolder, out: Path, *, stop_at: int | None = None, identity: dict[str, str] | None = None
) -> Trainer:
    """Six steps of two images on a small model, saved every two."""
    config = TrainConfig(epochs=1, batch_size=2, seed=1, dtype="float32", workers=0, checkpoint_steps=2)
    model = small_model()
    prepare(model, config)
    made: Trainer = Trainer(
        model,
        Criterion(model, config),
        Samples(AugmentedPairs([folder], 64, 2, seed=1), seed=1),
        config,
        6,
        identity=identity or {},
        folder=out,
        world=CPU,
        progress=Silent(),
        stop=lambda: made.history.step == stop_at,
    )
    return made


def test_a_run_that_was_stopped_ends_with_the_same_weights(folder: ImageMaskFolder, tmp_path: Path) -> None:
    unbroken = training(folder, tmp_path / "a")
    (tmp_path / "a").mkdir()
    unbroken.run(6)
    (tmp_path / "b").mkdir()
    with pytest.raises(KeyboardInterrupt):
        training(folder, tmp_path / "b", stop_at=3).run(6)
    continued = training(folder, tmp_path / "b")
    assert continued.history.step == 3
    continued.run(6)
    assert equal(copied(unbroken.model), copied(continued.model))
    steps = [json.loads(line)["step"] for line in (tmp_path / "b" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 3, 4, 6]


def test_lines_of_steps_that_come_again_are_dropped(folder: ImageMaskFolder, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        training(folder, tmp_path, stop_at=3).run(6)
    metrics = tmp_path / "metrics.jsonl"
    with metrics.open("a") as file:
        file.write('{"step": 5, "loss": 1}\n{"st')
    training(folder, tmp_path)
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 3]


def test_other_settings_are_refused_by_name(folder: ImageMaskFolder, tmp_path: Path) -> None:
    training(folder, tmp_path, identity={"lr": "1", "seed": "2"}).run(2)
    with pytest.raises(HqsamError, match="`lr` was 1, is 3"):
        training(folder, tmp_path, identity={"lr": "3", "seed": "2"})


def test_a_full_disk_keeps_the_last_good_state(folder: ImageMaskFolder, tmp_path: Path) -> None:
    training(folder, tmp_path).run(2)
    going_on = training(folder, tmp_path)
    with files_of_at_most(100_000), pytest.raises(HqsamError, match=r"train\.pt: cannot be written"):
        going_on.run(4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.jsonl", "train.pt"]
    assert training(folder, tmp_path).history.step == 2


def test_metrics_that_cannot_grow_are_one_error_too(folder: ImageMaskFolder, tmp_path: Path) -> None:
    training(folder, tmp_path).run(2)
    going_on = training(folder, tmp_path)
    with (
        files_of_at_most((tmp_path / "metrics.jsonl").stat().st_size),
        pytest.raises(HqsamError, match=r"metrics\.jsonl: cannot"),
    ):
        going_on.run(4)


def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(folder: ImageMaskFolder, tmp_path: Path) -> None:
    run = training(folder, tmp_path)
    with torch.no_grad():
        next(iter(run.learned.values())).fill_(float("nan"))
    with pytest.raises(HqsamError, match="`lr`"):
        run.run(6)
    assert not (tmp_path / "train.pt").exists()
