"""What the command line makes of what the library says."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from importlib import import_module
from pathlib import Path

import pytest

from hqsam_cli.cli.console import sentence
from hqsam_cli.cli.reporter import ConsoleReporter
from hqsam_cli.records import Failure, ImageRecord
from tests.cli.conftest import Run


@pytest.fixture
def application() -> None:
    """The console knows the options when there is an application."""
    import_module("hqsam_cli.cli.app")


@pytest.mark.usefixtures("application")
def test_parameters_are_shown_as_options_and_nothing_else_is() -> None:
    assert (
        sentence("big.png: too large; raise `max_pixels`, or `overwrite`")
        == "big.png: too large; raise --max-pixels, or --overwrite"
    )
    assert sentence("`weird`.jpg: broken") == "`weird`.jpg: broken"


def test_what_breaks_lines_is_written_out() -> None:
    assert sentence("a\nb.jpg: broken") == "a\\nb.jpg: broken"


def records() -> list[ImageRecord]:
    """Three images of two masks each, and one that failed."""
    done = [ImageRecord(f"{n}.jpg", n, (4, 3), [{"id": 1}, {"id": 2}]) for n in range(3)]
    return [*done, ImageRecord("torn.jpg", 9, failure=Failure("torn.jpg", "broken"))]


@pytest.mark.parametrize("columns", [100, 30])
def test_a_bar_fits_its_window_and_says_what_failed(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        reporter = ConsoleReporter()
        reporter.on_start(10, 2)
        for record in records():
            reporter.on_record(record)
        reporter.bar.refresh()
        reporter.close()
        shown = b""
        while select.select([master], [], [], 0.5)[0]:  # the terminal hands it over piece by piece, in its own time
            shown += os.read(master, 100_000)
    os.close(master)
    text = shown.decode().replace("\x1b[A", "")
    assert "\x1b[3" not in text, "a color"
    frames = [frame for frame in re.split(r"[\r\n]+", text) if re.match(r" *\d+%", frame)]
    assert max(map(len, frames)) <= columns
    last = [frame for frame in frames if "6/10" in frame][-1]
    assert "60% 6/10, 1 failed" in last
    if columns == 100:
        assert "6 masks, " in last and " left, " in last and "image" in last


def test_a_log_has_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    reporter = ConsoleReporter()
    reporter.on_start(100, 0)
    for record in records() * 10:
        now[0] += 5
        reporter.on_record(record)
    lines = [line for line in capfd.readouterr().err.splitlines() if " of 100" in line]
    assert len(lines) == 200 // 35
    assert lines[0] == "hqsam: image 7 of 100, 1 failed, 12 masks, 5.0 s each, 0:07:45 left"


def test_a_log_has_a_line_now_and_then_within_an_image(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    reporter = ConsoleReporter()
    reporter.on_start(3, 0)
    for tenths in range(1, 11):
        now[0] += 11
        reporter.on_part(tenths / 10)
    lines = capfd.readouterr().err.splitlines()
    assert lines == [f"hqsam: image 1 of 3: {percent}%" for percent in (30, 60, 90)]


@pytest.mark.parametrize("debug", [False, True])
def test_libraries_do_not_talk_unless_everything_is_asked_for(debug: bool) -> None:
    script = f"""
import logging, warnings
from hqsam_cli.cli.console import log_to_console
log_to_console(debug={debug})
logging.getLogger("gcsfs").error("no credentials")
logging.getLogger("asyncio").error("Unclosed client session")
warnings.warn("outdated")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == ""
    for said in ("no credentials", "Unclosed", "outdated"):
        assert (said in ended.stderr) is debug


def test_a_reader_that_leaves_and_a_closed_stderr_are_no_failures(photos: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    script = Path(__file__).parent / "hqsam_process.py"
    command = 'exec "$@" 2>&-'
    arguments = [sys.executable, script, "segment", photos, "--boxes", "dets.json", "--output", "-"]
    ended = subprocess.run(["sh", "-c", command, "sh", *map(str, arguments)], stdout=write, cwd=photos.parent)
    os.close(write)
    assert ended.returncode == 141


def test_debug_shows_where_it_went_wrong(hqsam: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("hqsam_cli.inference.prediction.mask_crops", fails)
    arguments = ("segment", photos, "--boxes", "dets.json")
    plain = hqsam(*arguments, "--overwrite")
    assert plain.code == 3 and "no such kernel" in plain.err and "Traceback" not in plain.err
    debug = hqsam("--debug", *arguments, "--overwrite")
    assert debug.code == 3 and "Traceback" in debug.err and "in fails" in debug.err
    monkeypatch.setenv("HQSAM_DEBUG", "1")
    refused = hqsam("segment", photos, "--boxes", "gone.json")
    assert refused.code == 1 and "Traceback" in refused.err
