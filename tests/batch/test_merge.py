"""Shards joined, and those that are no whole refused."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from PIL import Image

from hqsam_cli.batch.inputs import Shard, inputs_digest
from hqsam_cli.batch.merge import merge_shards
from hqsam_cli.batch.status import read_status
from hqsam_cli.batch.steps import Segment
from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.io.copies import below
from hqsam_cli.io.find import find_images
from hqsam_cli.progress import Silent
from hqsam_cli.records import ImagePrompts
from tests.batch.boxes_as_masks import BoxPredictor, TwoBoxes, make_job, run, run_job

IDENTITY = {"model": "box", "format": "coco,idmap,ndjson,png"}
FORMATS = frozenset(IDENTITY["format"].split(","))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "imgs"
    (folder / "a" / "b").mkdir(parents=True)
    for number in range(12):
        name = ("{}.jpg", "a/{}.jpg", "a/b/{}.jpg")[number % 3].format(number)
        Image.new("RGB", (40, 30), (0, 20 * number, 90)).save(folder / name)
    (folder / "broken.jpg").write_bytes(b"no photo")
    return folder


def make_shard(
    images: Path, output: Path | str, index: int, count: int = 3, *, prompts: TwoBoxes | None = None, **flags: str
) -> Path:
    found = find_images([str(images)]).images
    shard = Shard(index, count)
    identity = {**IDENTITY, "shard": str(shard), **flags}
    formats = frozenset(identity["format"].split(","))
    place = below(output, str(index))
    job = make_job(images, place, prompts or TwoBoxes(), identity=identity, formats=formats)
    own = replace(job, images=shard.images(found), inputs=inputs_digest(found))
    step = Segment(BoxPredictor(), TwoBoxes.categories)
    run_job(own, step, 2, Silent())
    return Path(place)


@pytest.fixture
def shards(images: Path, tmp_path: Path) -> list[Path]:
    return [make_shard(images, tmp_path / "parts", index) for index in (1, 2, 3)]


class MovedBox(TwoBoxes):
    """One prompt, elsewhere, for every image."""

    def for_image(self, file_name: str) -> ImagePrompts:
        found = super().for_image(file_name)
        return replace(found, prompts=[replace(found.prompts[0], box=(5.0, 5.0, 9.0, 9.0))])


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def without_journal(folder: Path) -> dict[str, bytes]:
    return {name: data for name, data in files(folder).items() if name != "journal.ndjson"}


def test_merged_shards_are_what_one_run_makes(images: Path, shards: list[Path], tmp_path: Path) -> None:
    run(images, tmp_path / "whole", identity=IDENTITY, formats=FORMATS)
    before = [files(shard) for shard in shards]
    summary = merge_shards(shards[::-1], tmp_path / "all", {})
    assert (summary.exit_code, summary.done, summary.masks, len(summary.failed)) == (3, 12, 24, 1)
    assert without_journal(tmp_path / "all") == without_journal(tmp_path / "whole")
    assert len(without_journal(tmp_path / "all")) == 2 + 24 + 12
    assert [files(shard) for shard in shards] == before


def test_shards_at_addresses_and_copies_of_them_are_merged_here_and_there(
    images: Path, shards: list[Path], tmp_path: Path, memory: fsspec.AbstractFileSystem
) -> None:
    merge_shards(shards, tmp_path / "all", {})
    whole = without_journal(tmp_path / "all")
    for index in (1, 3):
        make_shard(images, "memory://bucket/parts", index)
        memory.get(f"/bucket/parts/{index}", str(tmp_path / f"copies/{index}"), recursive=True)
    assert not (tmp_path / "copies/1/journal.ndjson").exists()
    places: list[Path | str] = [tmp_path / "copies", "memory://bucket/parts"]
    for number, place in enumerate(places):
        parts = [below(place, "1"), shards[1], below(place, "3")]
        assert merge_shards(parts, tmp_path / f"here{number}", {}).done == 12
        assert without_journal(tmp_path / f"here{number}") == whole
        there = f"memory://bucket/there{number}"
        for _ in range(2):
            assert merge_shards(parts, there, {}).masks == 24
            names = [name for name in memory.find(f"/bucket/there{number}") if "/journal/" not in name]
            assert {n.removeprefix(f"/bucket/there{number}/"): memory.cat_file(n) for n in names} == whole
    assert run(images, there, identity=IDENTITY, formats=FORMATS)[0].already_done == 12
    memory.pipe_file("/bucket/there1/masks/0.jpg/note.txt", b"ours")
    assert merge_shards(parts, there, {}, overwrite=True).done == 12
    assert memory.cat_file("/bucket/there1/masks/0.jpg/note.txt") == b"ours"
    with pytest.raises(UsageError, match="is one of the shards"):
        merge_shards(parts, "memory://bucket/parts/1/", {})


def test_the_command_without_a_shard_continues_the_whole(images: Path, shards: list[Path], tmp_path: Path) -> None:
    merge_shards(shards, tmp_path / "all", {})
    Image.new("RGB", (40, 30)).save(images / "new.jpg")
    summary, _ = run(images, tmp_path / "all", identity=IDENTITY, formats=FORMATS)
    assert (summary.already_done, summary.done, summary.failed_before) == (12, 1, 1)


def test_a_merge_can_be_done_again_after_it_was_cut_off(shards: list[Path], tmp_path: Path) -> None:
    merge_shards(shards, tmp_path / "all", {})
    made = files(tmp_path / "all")
    lines = made["journal.ndjson"].splitlines(keepends=True)
    (tmp_path / "all" / "journal.ndjson").write_bytes(b"".join(lines[:5]) + lines[5][:30])
    (tmp_path / "all" / "instances.json").unlink()
    merge_shards(shards, tmp_path / "all", {})
    assert without_journal(tmp_path / "all") == {n: data for n, data in made.items() if n != "journal.ndjson"}
    assert read_status(tmp_path / "all").left == 0


def test_gaps_twins_and_other_flags_are_refused(images: Path, shards: list[Path], tmp_path: Path) -> None:
    def refused(*folders: Path) -> str:
        with pytest.raises(UsageError) as error:
            merge_shards(folders, tmp_path / "all", {})
        assert not (tmp_path / "all").exists()
        return str(error.value)

    assert "missing shards: 3/3" in refused(*shards[:2])
    shutil.copytree(shards[0], tmp_path / "copy")
    assert f"the same shard as {shards[0]} (1/3)" in refused(shards[0], tmp_path / "copy", shards[1])
    hq = make_shard(images, tmp_path / "hq", 3, model="hq")
    assert "`model` was box, is hq" in refused(*shards[:2], hq)
    four = make_shard(images, tmp_path / "four", 3, 4)
    assert "`shard` was of 3, is of 4" in refused(*shards[:2], four)
    run(images, tmp_path / "whole", identity=IDENTITY)
    assert "not the output of a shard" in refused(*shards[:2], tmp_path / "whole")
    assert "not the output of a shard" in refused(*shards[:2], tmp_path / "nothing")


def test_a_shard_of_other_inputs_and_one_that_is_not_finished_are_refused(
    images: Path, shards: list[Path], tmp_path: Path
) -> None:
    journal = shards[1] / "journal.ndjson"
    kept = journal.read_bytes()
    journal.write_bytes(b"".join(kept.splitlines(keepends=True)[:-1]))
    with pytest.raises(UsageError, match="not finished"):
        merge_shards(shards, tmp_path / "all", {})
    journal.write_bytes(kept)
    Image.new("RGB", (40, 30)).save(images / "new.jpg")
    make_shard(images, tmp_path / "parts", 2)
    with pytest.raises(UsageError, match="made from other inputs"):
        merge_shards(shards, tmp_path / "all", {})
    for index in (1, 3):
        make_shard(images, tmp_path / "parts", index)
    assert merge_shards(shards, tmp_path / "all", {}).done == 13


def test_results_of_somebody_else_are_not_replaced(shards: list[Path], tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "instances.json").write_text("mine")
    with pytest.raises(UsageError, match="was not written by hqsam"):
        merge_shards(shards, tmp_path / "all", {})
    merge_shards(shards, tmp_path / "all", {"command": "hqsam merge"}, overwrite=True)
    assert json.loads((tmp_path / "all" / "instances.json").read_text())["info"]["command"] == "hqsam merge"


def test_where_there_are_no_hard_links_files_are_copied(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    linked = merge_shards(shards, tmp_path / "linked", {})

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", refuse)
    assert merge_shards(shards, tmp_path / "copied", {}).masks == linked.masks
    assert without_journal(tmp_path / "copied") == without_journal(tmp_path / "linked")


def test_a_full_disk_is_one_line(shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.link", refuse)
    with pytest.raises(HqsamError, match="No space left on device"):
        merge_shards(shards, tmp_path / "all", {})


def test_an_output_that_is_a_shard_is_refused_before_anything_is_touched(shards: list[Path], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(shards[0])
    before = [files(shard) for shard in shards]
    for output in (shards[0], tmp_path / "link", tmp_path / "parts" / "2" / ".." / "1"):
        with pytest.raises(UsageError, match="is one of the shards") as error:
            merge_shards(shards, output, {}, overwrite=True)
        assert error.value.exit_code == 2 and str(output) in str(error.value)
    assert [files(shard) for shard in shards] == before


@pytest.mark.parametrize("overwrite", [False, True])
def test_shards_that_were_made_again_are_merged_again(
    images: Path, shards: list[Path], tmp_path: Path, overwrite: bool
) -> None:
    merge_shards(shards, tmp_path / "all", {})
    name = next(path for path in (tmp_path / "all" / "masks").rglob("*.jpg") if path.is_dir())
    ours = [name / "note.txt", tmp_path / "all" / "masks" / "other.jpg" / "7.png", tmp_path / "all" / "mine.json"]
    for path in ours:
        path.parent.mkdir(exist_ok=True)
        path.write_text("ours")
    (images / "0.jpg").write_bytes(b"broken now")
    Image.new("RGB", (40, 30)).save(images / "broken.jpg")
    for index in (1, 2, 3):
        make_shard(images, tmp_path / "parts", index, prompts=MovedBox())
    summary = merge_shards(shards, tmp_path / "all", {}, overwrite=overwrite)
    assert (summary.done, summary.masks, len(summary.failed)) == (12, 12, 1)
    run(images, tmp_path / "whole", identity=IDENTITY, formats=FORMATS, prompts=MovedBox())
    made = without_journal(tmp_path / "all")
    assert [made.pop(str(path.relative_to(tmp_path / "all"))) for path in ours] == [b"ours"] * 3
    assert made == without_journal(tmp_path / "whole")
    status = read_status(tmp_path / "all")
    assert (status.images, status.done, status.failed, status.left) == (13, 12, 1, 0)


def test_what_did_not_change_is_left_and_what_is_missing_comes_again(shards: list[Path], tmp_path: Path) -> None:
    merge_shards(shards, tmp_path / "all", {})
    made = files(tmp_path / "all")
    kept, taken = [tmp_path / "all" / name for name in made if name.startswith("masks/a/b/")][::2][:2]
    kept.unlink()  # a hard link, so that what is written into it is written into the shard too
    kept.write_bytes(b"corrected by hand")
    taken.unlink()
    merge_shards(shards, tmp_path / "all", {})
    assert (
        kept.read_bytes() == b"corrected by hand"
        and taken.read_bytes() == made[str(taken.relative_to(tmp_path / "all"))]
    )
    status = read_status(tmp_path / "all")
    assert (status.images, status.done, status.failed, status.left) == (13, 12, 1, 0)


def test_photos_that_were_touched_are_merged_again_once(images: Path, shards: list[Path], tmp_path: Path) -> None:
    merge_shards(shards, tmp_path / "all", {})
    for path in images.rglob("*.jpg"):
        os.utime(path, (1, 1))
    for index in (1, 2, 3):
        make_shard(images, tmp_path / "parts", index)
    journal = tmp_path / "all" / "journal.ndjson"
    merge_shards(shards, tmp_path / "all", {})
    before = journal.read_text().count('"annotations"')
    merge_shards(shards, tmp_path / "all", {})
    assert journal.read_text().count('"annotations"') == before


def test_photos_that_are_gone_leave_the_whole(images: Path, shards: list[Path], tmp_path: Path) -> None:
    merge_shards(shards, tmp_path / "all", {})
    (images / "0.jpg").unlink()
    for index in (1, 2, 3):
        make_shard(images, tmp_path / "parts", index)
    assert merge_shards(shards, tmp_path / "all", {}).done == 11
    run(images, tmp_path / "whole", identity=IDENTITY, formats=FORMATS)
    assert without_journal(tmp_path / "all") == without_journal(tmp_path / "whole")


def test_labels_of_shards_that_were_made_again_are_new(images: Path, tmp_path: Path) -> None:
    def merged(prompts: TwoBoxes, *, overwrite: bool = False) -> dict[str, bytes]:
        parts = [
            make_shard(images, tmp_path / "parts", index, prompts=prompts, format="png,voc", mask_output="sum")
            for index in (1, 2, 3)
        ]
        merge_shards(parts, tmp_path / "all", {}, overwrite=overwrite)
        return without_journal(tmp_path / "all")

    def whole(name: str, prompts: TwoBoxes) -> dict[str, bytes]:
        run(images, tmp_path / name, formats=frozenset({"png", "voc"}), prompts=prompts)
        return without_journal(tmp_path / name)

    assert merged(TwoBoxes()) == whole("first", TwoBoxes())
    (tmp_path / "all" / "voc" / "mine.xml").write_text("mine")
    second = whole("second", MovedBox())
    assert merged(MovedBox()) == second | {"voc/mine.xml": b"mine"}
    assert merged(TwoBoxes(), overwrite=True) == whole("first", TwoBoxes()) | {"voc/mine.xml": b"mine"}


def test_another_run_in_the_output_is_taken_away(images: Path, shards: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "others"
    other.mkdir()
    Image.new("RGB", (40, 30)).save(other / "x.jpg")
    run(other, tmp_path / "all", formats=frozenset({"png", "crop"}))
    with pytest.raises(UsageError, match="contains results of another run"):
        merge_shards(shards, tmp_path / "all", {})
    merge_shards(shards, tmp_path / "all", {}, overwrite=True)
    run(images, tmp_path / "whole", identity=IDENTITY, formats=FORMATS)
    assert without_journal(tmp_path / "all") == without_journal(tmp_path / "whole")
    (tmp_path / "all" / "journal.ndjson").write_bytes(b"damaged\n")
    merge_shards(shards, tmp_path / "all", {}, overwrite=True)
    assert without_journal(tmp_path / "all") == without_journal(tmp_path / "whole")


def test_images_of_an_earlier_merge_stay_in_the_files_about_all_images(shards: list[Path], tmp_path: Path) -> None:
    merge_shards(shards, tmp_path / "all", {})
    (tmp_path / "more").mkdir()
    Image.new("RGB", (40, 30)).save(tmp_path / "more" / "21.jpg")
    parts = [make_shard(tmp_path / "more", tmp_path / "of_more", index, 2) for index in (1, 2)]
    assert merge_shards(parts, tmp_path / "all", {}).done == 1
    document = json.loads((tmp_path / "all" / "instances.json").read_bytes())
    assert len(document["images"]) == 13 and len(document["annotations"]) == 26
