"""Machines that lack something: it works, or one line says what to set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hqsam_cli.cli.plain import crash_sentence
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "sample_data"


def run_alone(limits: str, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`hqsam` in its own process, under limits of a shell."""
    script = ROOT / "tests/cli/hqsam_process.py"
    command = ["bash", "-c", f'{limits}; exec "$@"', "-", sys.executable, script, *arguments]
    whole = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([str(part) for part in command], env=whole, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("limit", ["ulimit -v 200000", "ulimit -v 1500000"])
def test_too_little_memory_is_one_line(tmp_path: Path, limit: str) -> None:
    ended = run_alone(limit, "segment", SAMPLES / "images", "--salient", "-o", tmp_path / "out")
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].startswith("hqsam: error: ") and "ulimit -v" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_few_file_handles_are_enough(tmp_path: Path) -> None:
    boxes = SAMPLES / "boxes.json"
    ended = run_alone("ulimit -n 24", "segment", SAMPLES / "images/kites.jpg", "--boxes", boxes, "-o", tmp_path / "out")
    assert ended.returncode == 0, ended.stderr


def test_an_evaluation_without_a_cache_goes_on(hqsam: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    command = ("eval", "--dataset", "dis", "--data-root", SAMPLES, "--limit", "1", "--mask-output", "sam")
    ended = hqsam(*command)
    assert ended.code == 0 and "set XDG_CACHE_HOME" in ended.err and "mIoU" in ended.out
    refused = hqsam(*command, "--resume")
    assert refused.code == 1 and "cannot be written" in refused.err


def test_what_a_machine_lacks_is_said_and_what_is_a_bug() -> None:
    assert "set HOME" in crash_sentence(RuntimeError("Could not determine home directory."))
    assert "set TMPDIR" in crash_sentence(FileNotFoundError(2, "No usable temporary directory found in ['/tmp']"))
    assert "ulimit -n" in crash_sentence(OSError(24, "Too many open files"))
    assert crash_sentence(KeyError("x\ny")).startswith("unexpected KeyError ('x") and "report" in crash_sentence(
        KeyError()
    )


def test_a_bug_is_one_line_too(hqsam: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("hqsam_cli.batch.inputs.find_images", broken)
    ended = hqsam("segment", photos, "--salient")
    assert (ended.code, ended.err.count("\n")) == (1, 1) and "unexpected ZeroDivisionError (oh)" in ended.err
