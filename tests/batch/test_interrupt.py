"""Runs that are killed, get signals, or fail while they record results."""

from __future__ import annotations

import errno
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO

from hqsam_cli.formats.outputs import Outputs
from hqsam_cli.inference.preprocess import ResizedImage
from hqsam_cli.records import ImageRecord, Instance, Prompt
from tests.batch.boxes_as_masks import BoxPredictor, Heard, contents, journaled, run

PROGRAM = [sys.executable, "-m", "tests.batch.boxes_as_masks"]


def written(output: Path) -> list[str]:
    return [image["file_name"] for image in COCO(str(output / "instances.json")).dataset["images"]]


class Signaled(BoxPredictor):
    """Gets signals in its sixth group."""

    def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        if len(self.groups) == 5:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        return super().predict_batch(images, prompts)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_killed_run_continues_to_the_same_bytes(images: Path, tmp_path: Path, number: signal.Signals) -> None:
    run(images, tmp_path / "whole")
    # Under nohup, the tests would ignore SIGHUP, and so would the run.
    not_ignored = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)
    process = subprocess.Popen([*PROGRAM, images, tmp_path / "out", "0.4"], preexec_fn=not_ignored)
    journal = tmp_path / "out/journal.ndjson"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (journal.exists() and journal.read_bytes().count(b"\n") > 2):
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=60) == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    if number == signal.SIGKILL:
        assert not (tmp_path / "out/instances.json").exists()
    else:
        names = written(tmp_path / "out")
        assert names == journaled(tmp_path / "out") and 0 < len(names) < 7
    summary, reporter = run(images, tmp_path / "out")
    assert summary.exit_code == 0
    assert 0 < reporter.already_done < 7
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_a_second_signal_gives_up_the_images_in_progress_and_writes_what_is_done(images: Path, tmp_path: Path) -> None:
    summary, _ = run(images, tmp_path / "out", Signaled(), batch_size=1)
    assert (summary.exit_code, summary.outcome) == (130, "interrupted")
    assert written(tmp_path / "out") == journaled(tmp_path / "out") and 1 < len(written(tmp_path / "out")) < 6


def test_a_signal_while_files_are_written_does_not_leave_earlier_ones(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = Outputs.close

    def signaled(outputs: Outputs, *rest: Any) -> list[Path | str]:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        return close(outputs, *rest)

    monkeypatch.setattr(Outputs, "close", signaled)
    run(images, tmp_path / "out")
    assert len(written(tmp_path / "out")) == 7


def test_an_error_while_results_are_recorded_writes_what_is_done(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(heard: Heard, record: ImageRecord) -> None:
        heard.records.append(record)
        if len(heard.records) == 3:
            raise OSError(errno.EIO, "the terminal is closed")

    monkeypatch.setattr(Heard, "on_record", fails)
    with pytest.raises(OSError, match="the terminal is closed"):
        run(images, tmp_path / "out")
    assert written(tmp_path / "out") == journaled(tmp_path / "out") and 2 < len(written(tmp_path / "out")) < 7
