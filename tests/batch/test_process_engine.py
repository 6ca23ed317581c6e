"""A run in several processes of this machine, which are killed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hqsam_cli.batch.job import Summary
from hqsam_cli.batch.process_engine import ProcessEngine
from hqsam_cli.errors import HqsamError
from tests.batch.boxes_as_masks import BoxPredictor, Heard, TwoBoxes, make_job, run, run_engine
from tests.batch.other_processes import (
    IDENTITY,
    DyingPredictor,
    KilledPredictor,
    build,
    build_killed,
    build_nothing,
    contents,
)


def run_in_processes(
    images: Path, output: Path | None, *predictors: BoxPredictor, how: Any = build, **changes: Any
) -> tuple[Summary, Heard]:
    job = make_job(images, output, TwoBoxes(), **{"identity": IDENTITY, **changes})
    heard = Heard()
    builds = [partial(how, job.without_images(), predictor) for predictor in predictors]
    return run_engine(job, job.outputs(), ProcessEngine(builds, 2), heard), heard


def test_the_bytes_are_those_of_one_process(mixed_images: Path, tmp_path: Path) -> None:
    formats = frozenset({"coco", "png", "idmap", "ndjson"})
    here, _ = run(mixed_images, tmp_path / "here", formats=formats)
    there, heard = run_in_processes(
        mixed_images, tmp_path / "there", BoxPredictor(), BoxPredictor(), formats=formats, batch_size=1
    )
    assert (there.exit_code, there.done, there.masks) == (here.exit_code, here.done, here.masks) == (3, 9, 18)
    assert sorted(there.failed) == sorted(here.failed) and len(heard.records) == 11
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_a_process_that_is_killed_has_a_successor(mixed_images: Path, tmp_path: Path) -> None:
    run(mixed_images, tmp_path / "here")
    summary, _ = run_in_processes(mixed_images, tmp_path / "there", DyingPredictor(tmp_path / "mark"), BoxPredictor())
    assert (tmp_path / "mark").exists() and summary.done == 9
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_an_image_that_kills_three_processes_fails_by_name(mixed_images: Path, tmp_path: Path) -> None:
    predictors = KilledPredictor(), KilledPredictor()
    summary, _ = run_in_processes(mixed_images, tmp_path / "out", *predictors, batch_size=3)
    assert (summary.exit_code, summary.done) == (3, 8)
    assert f"{mixed_images}/sub/5.png: it killed 3 processes (signal 9); check that there is enough memory" in (
        summary.failed
    )
    again, _ = run_in_processes(mixed_images, tmp_path / "out", BoxPredictor(), retry_failed=True)
    assert (again.already_done, again.done) == (8, 1)
    run(mixed_images, tmp_path / "here")
    assert contents(tmp_path / "out") == contents(tmp_path / "here")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        (build_nothing, r"^model.pth: no model; fetch it$"),
        (build_killed, r"^a process died while loading the models \(signal 9\); check that there is enough memory$"),
    ],
)
def test_what_is_wrong_with_a_model_is_said_once_and_nothing_is_begun(
    mixed_images: Path, tmp_path: Path, how: Any, message: str
) -> None:
    with pytest.raises(HqsamError, match=message):
        run_in_processes(mixed_images, tmp_path / "out", BoxPredictor(), how=how)
    assert not (tmp_path / "out").exists()


def test_too_many_failures_stop_it_and_it_goes_on(mixed_images: Path, tmp_path: Path) -> None:
    for number in range(20):
        (mixed_images / f"bad{number:02d}.jpg").write_bytes(b"")
    summary, _ = run_in_processes(mixed_images, tmp_path / "out", BoxPredictor(0.1), max_errors=3, batch_size=1)
    assert summary.exit_code == 1 and summary.done + len(summary.failed) < 31
    assert run_in_processes(mixed_images, tmp_path / "out", BoxPredictor())[0].exit_code == 3
    run(mixed_images, tmp_path / "here")
    assert contents(tmp_path / "out") == contents(tmp_path / "here")
