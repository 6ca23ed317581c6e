"""Where a run stands, while it goes on and after it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from hqsam_cli.batch.status import Reason, read_status
from hqsam_cli.errors import HqsamError, UsageError
from tests.batch.boxes_as_masks import run


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "imgs" / "sub").mkdir(parents=True)
    for number in range(6):
        Image.new("RGB", (40, 30), (0, 20 * number, 90)).save(tmp_path / "imgs" / f"{number}.jpg")
    for name in ("bad.jpg", "sub/bad: no.jpg", "sub/worse.jpg"):
        (tmp_path / "imgs" / name).write_bytes(b"")
    return tmp_path / "imgs"


def test_of_a_run_that_ended(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "out", info={"command": "hqsam segment imgs"})
    status = read_status(tmp_path / "out")
    assert (status.state, status.images, status.done, status.failed, status.left) == ("finished", 9, 6, 3, 0)
    assert (status.results, status.seconds_left, status.command) == (12, None, "hqsam segment imgs")
    assert sum(reason.images for reason in status.reasons) == 3
    assert [(reason.images, reason.first) for reason in status.reasons] == [(3, "bad.jpg")]
    assert "imgs" not in status.reasons[0].reason
    assert read_status(tmp_path / "out" / "journal.ndjson") == status


def test_of_a_second_command_what_was_done_before_counts_too(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "out")
    Image.new("RGB", (40, 30)).save(images / "new.jpg")
    run(images, tmp_path / "out")
    status = read_status(tmp_path / "out")
    assert (status.images, status.done, status.failed, status.left) == (10, 7, 3, 0)
    (images / "bad.jpg").unlink()
    run(images, tmp_path / "out")
    status = read_status(tmp_path / "out")
    assert (status.images, status.done, status.failed, status.left) == (9, 7, 2, 0)
    assert status.rate is None
    assert isinstance(status.reasons[0], Reason)


def test_while_it_runs_and_after_it_was_killed(images: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.batch.boxes_as_masks", images, tmp_path / "out", "0.4"]
    process = subprocess.Popen([str(part) for part in program])
    journal = tmp_path / "out" / "journal.ndjson"
    deadline = time.monotonic() + 60
    while not (journal.exists() and journal.read_bytes().count(b'"file_name"') >= 2):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    status = read_status(tmp_path / "out")
    assert status.state == "running" and status.left + status.done + status.failed == 9
    assert status.left and status.rate and status.seconds_left
    process.kill()
    process.wait()
    status = read_status(tmp_path / "out")
    assert (status.state, status.seconds_left) == ("killed", None)
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines).replace(json.dumps(_host(lines)), '"elsewhere"') + "\n")
    assert read_status(tmp_path / "out").state == "on elsewhere"


def _host(lines: list[str]) -> str:
    return str(json.loads(lines[1])["began"]["host"])


def test_where_no_run_was(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not the output of a run"):
        read_status(tmp_path)


def test_of_a_file_of_results_it_says_to_give_the_folder(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "out")
    masks = tmp_path / "out" / "masks"
    for path in (tmp_path / "out" / "instances.json", next(file for file in masks.rglob("*.png") if file.is_file())):
        with pytest.raises(UsageError, match="not a journal; pass the output folder") as error:
            read_status(path)
        assert str(path) in str(error.value) and "overwrite" not in str(error.value)
    copy = tmp_path / "copy"  # by whatever name
    copy.write_bytes((tmp_path / "out" / "journal.ndjson").read_bytes())
    assert read_status(copy).done == 6
    (tmp_path / "out" / "journal.ndjson").write_bytes(b"damaged\n")
    with pytest.raises(HqsamError, match="line 1 is not a journal entry"):
        read_status(tmp_path / "out" / "journal.ndjson")


def test_the_folder_of_a_file_of_boxes_is_that_file(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "found/dets.json", journal=tmp_path / "found/dets.json.journal.ndjson", formats=frozenset())
    assert read_status(tmp_path / "found") == read_status(tmp_path / "found/dets.json")
    (tmp_path / "found/more.json.journal.ndjson").write_text("{}\n")
    with pytest.raises(UsageError, match="not the output of a run"):
        read_status(tmp_path / "found")


def test_a_process_of_its_own_number_is_not_the_run(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "out")
    journal = tmp_path / "out" / "journal.ndjson"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:-1]))  # in a container all runs have one number
    assert read_status(tmp_path / "out").state == "killed"
