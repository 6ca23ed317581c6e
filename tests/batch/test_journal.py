"""The journal by itself."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from hqsam_cli.batch.journal import Beginning, Journal, read_journal
from hqsam_cli.batch.lock import is_gone, start_of
from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.io.run_folder import JOURNAL
from hqsam_cli.records import Failure, ImageRecord, Origin
from tests.full_disk import files_of_at_most

FLAGS = {"mask_output": "sum", "boxes": "none"}


def record(name: str, reason: str | None = None, fingerprint: str = "f") -> ImageRecord:
    path, origin = f"/imgs/{name}", Origin(fingerprint)
    if reason is not None:
        failure = Failure(f"imgs/{name}", reason, "of bytes", "fetch it")
        return ImageRecord(name, 1, (4, 3), [], failure, path, origin)
    return ImageRecord(name, 1, (4, 3), [{"id": 1, "score": 0.5}], None, path, origin)


@contextmanager
def journal(folder: Path, flags: dict[str, str] = FLAGS, overwrite: bool = False) -> Iterator[Journal]:
    opened = Journal(folder / JOURNAL, flags, overwrite=overwrite)
    try:
        yield opened
    finally:
        opened.close()


def test_records_come_back_in_the_order_asked_for(tmp_path: Path) -> None:
    with journal(tmp_path) as first:
        first.append([record("b.jpg"), record("a.jpg")])
    with journal(tmp_path) as again:
        assert list(again.contents.records(["a.jpg", "gone.jpg", "b.jpg"])) == [record("a.jpg"), record("b.jpg")]
        assert again.entries["a.jpg"].fingerprint == "f"


def test_the_last_word_on_an_image_counts(tmp_path: Path) -> None:
    with journal(tmp_path) as first:
        first.append([record("a.jpg", fingerprint="1"), record("b.jpg", "broken", "1")])
        first.append([record("a.jpg", "broken now", "2"), record("b.jpg", fingerprint="2")])
    with journal(tmp_path) as again:
        failure = Failure("imgs/a.jpg", "broken now", "of bytes", "fetch it")
        assert (
            again.entries["a.jpg"].failure == failure and str(failure) == "imgs/a.jpg: broken now (of bytes); fetch it"
        )
        assert again.entries["b.jpg"].fingerprint == "2"
        assert [r.failure for r in again.contents.records(["a.jpg", "b.jpg"])] == [failure, None]


@pytest.mark.parametrize("cut", [1, 20])
def test_a_torn_last_line_is_cut_off_and_written_anew(tmp_path: Path, cut: int) -> None:
    with journal(tmp_path) as first:
        first.append([record("a.jpg"), record("b.jpg")])
        path = first.path
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with journal(tmp_path) as again:
        assert again.entries["a.jpg"].fingerprint == "f"
        assert "b.jpg" not in again.entries
        again.append([record("b.jpg")])
    assert path.read_bytes() == whole


def test_a_torn_first_line_is_a_new_journal(tmp_path: Path) -> None:
    (tmp_path / "journal.ndjson").write_bytes(b'{"identity":{"--mask')
    with journal(tmp_path):
        pass
    assert json.loads((tmp_path / "journal.ndjson").read_bytes()) == {"identity": FLAGS, "info": {}}


def test_changed_flags_are_named(tmp_path: Path) -> None:
    with journal(tmp_path) as first:
        first.append([record("a.jpg")])
    before = first.path.read_bytes()
    with pytest.raises(UsageError, match=r"`mask_output` was sum, is hq.*`overwrite`") as refused:
        Journal(tmp_path / JOURNAL, FLAGS | {"mask_output": "hq"}, overwrite=False)
    assert "boxes" not in str(refused.value)
    assert first.path.read_bytes() == before
    with journal(tmp_path, FLAGS | {"mask_output": "hq"}, overwrite=True) as anew:
        assert not anew.entries


def test_a_run_of_another_results_revision_names_the_earlier_version_as_a_remedy(tmp_path: Path) -> None:
    with journal(tmp_path):
        pass
    with pytest.raises(UsageError, match=r"results_revision was .*continue with the version of hqsam that wrote them"):
        Journal(tmp_path / JOURNAL, FLAGS | {"results_revision": "99"}, overwrite=False)


@pytest.mark.parametrize("line", [b"[]", b"{}", b'{"identity": 3}', b'"x"', b"not json"])
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "journal.ndjson"
    path.write_bytes(line + b"\n")
    with pytest.raises(HqsamError, match=r"journal\.ndjson: line 1 .*`overwrite`"):
        Journal(tmp_path / JOURNAL, FLAGS, overwrite=False)
    assert path.read_bytes() == line + b"\n"


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    with journal(tmp_path), pytest.raises(HqsamError, match="another run is writing here"):
        Journal(tmp_path / JOURNAL, FLAGS, overwrite=True)
    with journal(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HqsamError, match=r"file/out: cannot be written \(Not a directory\)"):
        Journal(tmp_path / "file" / "out" / JOURNAL, FLAGS, overwrite=False)


def test_a_full_disk_is_one_error_and_what_was_noted_before_stays(tmp_path: Path) -> None:
    with journal(tmp_path) as first:
        first.append([record("a.jpg")])
        with (
            files_of_at_most(first.path.stat().st_size + 10),
            pytest.raises(HqsamError, match=r"journal\.ndjson: cannot be written"),
        ):
            first.append([record("b.jpg")])
    with journal(tmp_path) as again:
        assert again.entries["a.jpg"].fingerprint == "f"
        assert "b.jpg" not in again.entries


def test_names_that_are_no_utf8(tmp_path: Path) -> None:
    name = b"caf\xe9\n.jpg".decode("utf-8", "surrogateescape")
    with journal(tmp_path) as first:
        first.append([record(name)])
    with journal(tmp_path) as again:
        assert next(again.contents.records([name])).file_name == name


def test_a_journal_of_the_version_before_is_read(tmp_path: Path) -> None:
    line: dict[str, object] = {"fingerprint": "f", "path": "/a.jpg", "lost": 0, "seconds": None}
    line |= {"file_name": "a.jpg", "image_id": 1}
    error = "a.jpg: broken image (cut); fetch it again"
    line |= {"width": None, "height": None, "annotations": [], "error": error}
    lines = [{"identity": FLAGS | {"version": "0.1.0"}, "info": {}}, line]
    (tmp_path / JOURNAL).write_text("".join(json.dumps(own) + "\n" for own in lines))
    with journal(tmp_path) as again:
        (own,) = again.contents.records(["a.jpg"])
        assert str(own.failure) == str(again.entries["a.jpg"].failure) == error


def test_a_refusal_says_which_command_made_the_results(tmp_path: Path) -> None:
    Journal(tmp_path / JOURNAL, FLAGS, overwrite=False, info={"command": "hqsam segment a"}).close()
    with pytest.raises(UsageError, match=r"is hq, made by: hqsam segment a\)"):
        Journal(tmp_path / JOURNAL, FLAGS | {"mask_output": "hq"}, overwrite=False)


def test_a_disk_without_locks_gets_a_lock_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", no_locks)
    lock = tmp_path / f"{JOURNAL}.lock"
    with journal(tmp_path) as first:
        first.append([record("a.jpg")])
        assert lock.exists()
    assert not lock.exists()
    lock.write_text("elsewhere 1")
    with pytest.raises(
        HqsamError, match=r"another run is writing here \(elsewhere 1, according to journal.ndjson.lock\)"
    ):
        Journal(tmp_path / JOURNAL, FLAGS, overwrite=False)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    lock.write_text(f"{socket.gethostname()} {ended.pid}")
    with journal(tmp_path) as again:
        assert "a.jpg" in again.entries


def test_a_process_is_told_from_one_that_has_its_number_now() -> None:
    host = socket.gethostname()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        start = start_of(other.pid)
        assert start and start == start_of(other.pid) != start_of(os.getpid())
        assert not is_gone(f"{host} {other.pid} {start}") and not is_gone(f"{host} {other.pid}")
        before_a_reboot = f"00000000-0000-0000-0000-000000000000:{start.partition(':')[2]}"
        assert is_gone(f"{host} {other.pid} {before_a_reboot}") and is_gone(f"{host} {other.pid} {start}0")
        assert not is_gone(f"elsewhere {other.pid} {before_a_reboot}")
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # nobody has asked for its exit code yet
        assert is_gone(f"{host} {other.pid} {start}")


def test_a_journal_of_a_run_before_a_reboot_is_of_none_that_goes_on(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        of_other = Beginning(images=1, process=other.pid, start=start_of(other.pid))
        assert not of_other.is_gone and replace(of_other, start="another").is_gone
        with journal(tmp_path) as first:
            first.begin(of_other)
        lines = (tmp_path / JOURNAL).read_text().splitlines()
        began = json.loads(lines[1])
        del began["began"]["start"]  # as earlier versions wrote it
        (tmp_path / JOURNAL).write_text(f"{lines[0]}\n{json.dumps(began)}\n")
        last = read_journal(tmp_path / JOURNAL).last
        assert last == replace(of_other, start="") and not last.is_gone
        other.kill()
