"""The journal at an address by itself: how many objects it has, and what it is while they are merged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import fsspec
import pytest

from hqsam_cli.batch import object_journal
from hqsam_cli.batch.journal import Beginning
from hqsam_cli.batch.object_journal import JournalCopy, ObjectJournal, journal_contents, journal_of
from hqsam_cli.batch.status import read_status
from hqsam_cli.errors import HqsamError
from hqsam_cli.records import ImageRecord, Origin
from tests.batch.boxes_as_masks import run
from tests.io.files import photo
from tests.s3_server import BUCKET, S3Server

PLACE = "memory://bucket/out/journal"
GONE = 2**30  # a process that is not there
System: TypeAlias = fsspec.AbstractFileSystem


def note(journal: ObjectJournal, *names: str) -> None:
    for name in names:
        journal.append([ImageRecord(name, 1, (4, 3), origin=Origin("stamp content prompts"))])


def names_of(memory: System) -> list[str]:
    memory.invalidate_cache()
    return sorted(name.rpartition("/")[2] for name in memory.find("/bucket/out/journal"))


def opened() -> ObjectJournal:
    journal = ObjectJournal(PLACE, {"model": "box"}, overwrite=False)
    journal.begin(Beginning(images=9, process=GONE))
    return journal


@pytest.fixture
def each_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_journal, "SECONDS", 0)


def test_what_is_noted_within_seconds_is_one_object(memory: System) -> None:
    journal = opened()
    note(journal, *"abcdefgh")
    assert names_of(memory) == ["000000000.ndjson", "000000001.ndjson"]
    assert len(list(journal.contents.records("abcdefgh"))) == 8
    journal.close()  # as where an error ends a run
    assert names_of(memory)[2:] == ["000000002.ndjson"] and set(journal_contents(PLACE).entries) == set("abcdefgh")


def test_small_objects_are_merged_while_a_run_goes_on_and_when_it_ends(
    memory: System, each_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_journal, "MANY", 4)
    journal = opened()
    note(journal, *"abcdefghi")
    assert len(names_of(memory)) <= 4 and "000000000-" in names_of(memory)[0]
    assert list(JournalCopy(PLACE).path.parent.iterdir()) == []  # fetched when it is asked for
    journal.end("finished")
    journal.close()
    assert names_of(memory) == ["000000000-000000011.ndjson"]
    assert set(journal_contents(PLACE).entries) == set("abcdefghi")
    again = opened()
    note(again, "j")
    again.end("finished")
    again.close()
    assert names_of(memory) == ["000000000-000000014.ndjson"]
    assert set(journal_contents(PLACE).entries) == set("abcdefghij")


def test_large_objects_stay(memory: System, each_at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_journal, "LARGE", 400)
    journal = opened()
    note(journal, *"abcdef")
    journal.end("finished")
    journal.close()
    sizes = [memory.size(f"/bucket/out/journal/{name}") for name in names_of(memory)]
    assert len(sizes) > 2 and all(size >= 400 for size in sizes[:-1])
    kept = names_of(memory)[:-1]
    again = opened()
    again.end("finished")
    again.close()
    assert names_of(memory)[: len(kept)] == kept and set(journal_contents(PLACE).entries) == set("abcdef")


def test_a_merge_that_broke_off_says_everything_once(memory: System, each_at_once: None) -> None:
    journal = opened()
    note(journal, *"abc")
    journal.close()
    before = {name: memory.cat_file(f"/bucket/out/journal/{name}") for name in names_of(memory)}
    together = b"".join(before[f"{number:09d}.ndjson"] for number in range(1, 4))
    memory.pipe_file("/bucket/out/journal/000000001-000000003.ndjson", together)
    memory.rm("/bucket/out/journal/000000002.ndjson")
    contents = journal_contents(PLACE)
    assert set(contents.entries) == set("abc") and contents.done == 3
    again = opened()
    again.end("finished")
    again.close()
    assert names_of(memory) == ["000000000-000000006.ndjson"]


def test_a_reader_may_come_while_objects_are_merged(
    memory: System, each_at_once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened()
    note(journal, *"abc")
    copy = JournalCopy(PLACE)
    listed = copy._listed

    def listed_before_the_end() -> Mapping[str, Any]:
        found = listed()
        if journal.entries and "j" not in journal.entries:
            note(journal, "j")
            journal.end("finished")
        return found

    monkeypatch.setattr(copy, "_listed", listed_before_the_end)
    copy.refresh()
    assert copy.path.read_bytes() == journal.path.read_bytes()
    journal.close()


def test_an_object_that_cannot_be_read_is_an_error(memory: System, monkeypatch: pytest.MonkeyPatch) -> None:
    opened().close()
    monkeypatch.setattr(memory.__class__, "cat_file", lambda *_, **__: (_ for _ in ()).throw(PermissionError("denied")))
    with pytest.raises(HqsamError, match=r"journal/000000000\.ndjson: cannot be read \(denied\)"):
        JournalCopy(PLACE).refresh()


def test_a_copied_folder_has_the_status_of_what_was_copied(memory: System, tmp_path: Path, each_at_once: None) -> None:
    (tmp_path / "imgs").mkdir()
    (tmp_path / "imgs/a.png").write_bytes(photo(30))
    run(tmp_path / "imgs", "memory://bucket/out")
    memory.get("/bucket/out", str(tmp_path / "copy"), recursive=True)
    here = journal_of(tmp_path / "copy")
    assert set(journal_contents(here).entries) == {"a.png"}
    for place in (tmp_path / "copy", tmp_path / "copy/journal"):
        status = read_status(place)
        assert (status.state, status.done, status.left) == ("finished", 1, 0)
    shutil.copytree(tmp_path / "copy/journal", tmp_path / "dets.json.journal")
    assert read_status(tmp_path / "dets.json").done == 1


def test_a_journal_costs_few_requests(s3: S3Server, tmp_path: Path) -> None:
    count = 500
    (tmp_path / "imgs").mkdir()
    for number in range(count):
        (tmp_path / f"imgs/{number:03d}.png").write_bytes(photo(20 + number % 9))
    out = f"s3://{BUCKET}/out"
    formats = frozenset({"ndjson"})
    run(tmp_path / "imgs", out, formats=formats, batch_size=1)
    s3.asked.clear()
    assert read_status(out).done == count
    assert len(s3.asked) <= count // 50
    s3.asked.clear()
    assert run(tmp_path / "imgs", out, formats=formats, batch_size=1)[0].already_done == count
    assert len(s3.asked) - 1 <= count // 50  # one is that of instances.ndjson


def test_objects_of_one_image_each_are_read(memory: System, each_at_once: None) -> None:
    """As a run made them before they were merged."""
    journal = opened()
    note(journal, *"abc")
    journal.end("stopped")
    journal.close()
    (whole,) = names_of(memory)
    lines = memory.cat_file(f"/bucket/out/journal/{whole}").splitlines(keepends=True)
    memory.rm(f"/bucket/out/journal/{whole}")
    for number, line in enumerate(lines):
        memory.pipe_file(f"/bucket/out/journal/{number:09d}.ndjson", line)
    assert json.loads(lines[0])["identity"] == {"model": "box"}
    assert set(journal_contents(PLACE).entries) == set("abc")
    again = opened()
    note(again, "d")
    again.end("finished")
    again.close()
    assert len(names_of(memory)) == 1 and set(journal_contents(PLACE).entries) == set("abcd")
