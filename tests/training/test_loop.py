"""The loop: what it changes, how it continues, what it leaves behind when the disk is full."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from hqsam_cli.data.pairs import ImageMaskFolder
from hqsam_cli.errors import HqsamError
from hqsam_cli.training.criterion import Criterion
from hqsam_cli.training.data import AugmentedPairs, Samples
from hqsam_cli.training.distributed import World
from hqsam_cli.training.loop import Course, Training
from hqsam_cli.training.variants import FULL, prepare

from .conftest import copied, equal, small_model

CPU = World(torch.device("cpu"))


def training(
    folder: ImageMaskFolder, out: Path, *, stop_at: int | None = None, settings: dict[str, str] | None = None
) -> Training:
    """Six steps of two images on a small model, saved every two."""
    model = small_model()
    prepare(model)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam([{"params": learned, "peak": 1e-3}])
    course = Course(name="t", steps=6, batch=2, rate=lambda _: 1.0, checkpoint_steps=2, settings=settings or {})
    samples = Samples(AugmentedPairs([folder], 64, 2, seed=1), seed=1)
    made = Training(
        model, Criterion(model, "hq", FULL), optimizer, samples, course, out, CPU, lambda _: None,
        lambda: made.step == stop_at,
    )  # fmt: skip
    return made


def test_a_run_that_was_stopped_ends_with_the_same_weights(folder: ImageMaskFolder, tmp_path: Path) -> None:
    unbroken = training(folder, tmp_path / "a")
    (tmp_path / "a").mkdir()
    unbroken.run(6)
    (tmp_path / "b").mkdir()
    with pytest.raises(KeyboardInterrupt):
        training(folder, tmp_path / "b", stop_at=3).run(6)
    continued = training(folder, tmp_path / "b")
    assert continued.step == 3
    continued.run(6)
    assert equal(copied(unbroken.model), copied(continued.model))
    steps = [json.loads(line)["step"] for line in (tmp_path / "b" / "metrics.jsonl").read_text().splitlines()]
    assert steps == [2, 3, 4, 6]


def test_lines_of_steps_that_come_again_are_dropped(folder: ImageMaskFolder, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        training(folder, tmp_path, stop_at=3).run(6)
    metrics = tmp_path / "metrics.jsonl"
    with metrics.open("a") as file:
        file.write('{"stage": "other", "step": 9, "loss": 1}\n{"stage": "t", "step": 5, "loss": 1}\n{"stage": "t", "st')
    training(folder, tmp_path)
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in lines] == [("t", 2), ("t", 3), ("other", 9)]


def test_other_settings_are_refused_by_name(folder: ImageMaskFolder, tmp_path: Path) -> None:
    training(folder, tmp_path, settings={"--lr": "1", "--seed": "2"}).run(2)
    with pytest.raises(HqsamError, match="another --lr;"):
        training(folder, tmp_path, settings={"--lr": "3", "--seed": "2"})


@contextmanager
def room(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_keeps_the_last_good_state(folder: ImageMaskFolder, tmp_path: Path) -> None:
    training(folder, tmp_path).run(2)
    going_on = training(folder, tmp_path)
    with room(100_000), pytest.raises(HqsamError, match=r"t\.pt: cannot be written"):
        going_on.run(4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.jsonl", "t.pt"]
    assert training(folder, tmp_path).step == 2


def test_metrics_that_cannot_grow_are_one_error_too(folder: ImageMaskFolder, tmp_path: Path) -> None:
    training(folder, tmp_path).run(2)
    going_on = training(folder, tmp_path)
    with room((tmp_path / "metrics.jsonl").stat().st_size), pytest.raises(HqsamError, match=r"metrics\.jsonl: cannot"):
        going_on.run(4)


def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(folder: ImageMaskFolder, tmp_path: Path) -> None:
    run = training(folder, tmp_path)
    with torch.no_grad():
        next(iter(run.learned.values())).fill_(float("nan"))
    with pytest.raises(HqsamError, match="--lr"):
        run.run(6)
    assert not (tmp_path / "t.pt").exists()
