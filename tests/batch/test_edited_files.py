"""What somebody edited stays, and nobody's results go for what is not known to be gone."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from PIL import Image

from hqsam_cli.batch.inputs import Shard
from hqsam_cli.batch.job import PromptsByName, make_plan
from hqsam_cli.batch.merge import merge_shards
from hqsam_cli.errors import HqsamError
from hqsam_cli.io.find import find_images
from hqsam_cli.records import ImagePrompts, RawPrompt
from tests.batch.boxes_as_masks import TwoBoxes, make_job, run

FORMATS = frozenset({"coco", "png", "idmap", "crop", "labelme", "yolo-seg", "voc"})
AT_ADDRESS = FORMATS - {"labelme", "yolo-seg"}
EDITED = ("labelme/a.json", "yolo-seg/labels/a.txt", "voc/a.xml", "idmaps/a.png.png")
Folder = Callable[..., Path]


class Boxes(TwoBoxes):
    """One box an image, moved by `shift`; none of `none`, and nothing said of `silent`."""

    def __init__(self, shift: int = 0, *, none: str = "", silent: str = "") -> None:
        self.shift, self.none, self.silent = shift, none, silent

    def for_image(self, file_name: str) -> ImagePrompts:
        found = super().for_image(file_name)
        if any(part and part in file_name for part in (self.none, self.silent)):
            return replace(found, prompts=[], mentioned=self.none != "")
        box = (1.0 + self.shift, 2.0, 9.0 + self.shift, 8.0)
        return replace(found, prompts=[RawPrompt(found.prompts[0].annotation_id, box=box)], mentioned=True)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    def make(*names: str) -> Path:
        for name in names:
            (tmp_path / "imgs").mkdir(exist_ok=True)
            Image.new("RGB", (40, 30), (0, 0, 90)).save(tmp_path / "imgs" / name)
        return tmp_path / "imgs"

    return make


def out_of(imgs: Path, out: Path, shift: int = 0, **options: Any) -> str:
    """What a run into a folder says."""
    prompts: PromptsByName = options.pop("prompts", Boxes(shift))
    run(imgs, out, formats=FORMATS, tolerance=0.0, prompts=prompts, **options)
    return ""


def mask_of(out: Path, name: str) -> Path:
    (mask,) = (out / "masks" / name).glob("*.png")
    return mask


def files_of(out: Path) -> dict[str, bytes]:
    paths = (path for path in out.rglob("*") if path.is_file() and path.name != "journal.ndjson")
    return {str(path.relative_to(out)): path.read_bytes() for path in paths}


def test_what_was_edited_stays_when_a_box_moves_and_when_the_photo_goes(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    imgs, out = folder("a.png", "b.png"), tmp_path / "out"
    out_of(imgs, out)
    edited = [*(out / name for name in EDITED), mask_of(out, "a.png")]
    for path in edited:
        path.write_bytes(b"mine")
    for shift in (2, 2, 4):
        caplog.clear()
        out_of(imgs, out, shift)
        assert [path.read_bytes() for path in edited] == [b"mine"] * 5
    assert ("kept: 5 (" in caplog.text and str(out / "voc/a.xml") in caplog.text) or "…" in caplog.text
    out_of(imgs, tmp_path / "new", 4)
    assert mask_of(out, "b.png").read_bytes() == mask_of(tmp_path / "new", "b.png").read_bytes()

    (imgs / "a.png").unlink()
    caplog.clear()
    out_of(imgs, out, 4)
    assert "images that no longer exist, results removed: 1 (a.png)" in caplog.text and "kept: 5 (" in caplog.text
    assert [path.read_bytes() for path in edited] == [b"mine"] * 5
    assert not list((out / "crops").rglob("a.png/*")) and "a.png" not in (out / "instances.json").read_text()


def test_what_was_edited_is_replaced_where_that_is_asked_for(folder: Folder, tmp_path: Path) -> None:
    imgs, out = folder("a.png"), tmp_path / "out"
    out_of(imgs, out)
    for path in (*(out / name for name in EDITED), mask_of(out, "a.png")):
        path.write_bytes(b"mine")
    out_of(imgs, out, 2, overwrite=True)
    assert (out / "voc/a.xml").read_bytes() == mask_of(out, "a.png").read_bytes() == b"mine"
    out_of(imgs, out, 4, overwrite_edited=True)
    out_of(imgs, tmp_path / "new", 4)
    mine, others = files_of(out), files_of(tmp_path / "new")
    assert {name: mine[name] for name in others if name[-4:] != "json"} == {
        name: content for name, content in others.items() if name[-4:] != "json"
    }
    assert b"mine" not in mine.values()


def test_a_run_that_was_killed_takes_its_own_files_for_its_own(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    imgs, out = folder("a.png", "b.png"), tmp_path / "out"
    out_of(imgs, out)
    journal = (out / "journal.ndjson").read_bytes()
    out_of(imgs, out, 2)
    (out / "journal.ndjson").write_bytes(journal)  # as if nothing of the second had been noted
    out_of(imgs, out, 2)
    assert "kept" not in caplog.text
    out_of(imgs, out, 4)
    out_of(imgs, tmp_path / "new", 4)
    assert "kept" not in caplog.text and set(files_of(out)) == set(files_of(tmp_path / "new"))
    assert mask_of(out, "a.png").read_bytes() == mask_of(tmp_path / "new", "a.png").read_bytes()


def test_files_of_a_journal_without_digests_stay(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    imgs, out = folder("a.png", "b.png"), tmp_path / "out"
    out_of(imgs, out)
    lines = [json.loads(line) for line in (out / "journal.ndjson").read_text().splitlines()]
    bare = [{key: value for key, value in line.items() if key != "files"} for line in lines]
    (out / "journal.ndjson").write_text("".join(json.dumps(line) + "\n" for line in bare))
    before = files_of(out)
    out_of(imgs, out)
    assert files_of(out).keys() == before.keys() and "kept" not in caplog.text
    (imgs / "a.png").unlink()
    out_of(imgs, out)
    assert "kept: 6 (" in caplog.text and (out / "voc/a.xml").exists()
    out_of(imgs, out, 2, overwrite=True)
    out_of(imgs, tmp_path / "new", 2)
    assert mask_of(out, "b.png").read_bytes() == mask_of(tmp_path / "new", "b.png").read_bytes()


def test_edited_objects_stay_at_an_address(
    memory: fsspec.AbstractFileSystem, folder: Folder, caplog: pytest.LogCaptureFixture
) -> None:
    imgs = folder("a.png", "b.png", "b.jpg")

    def again(shift: int, **options: Any) -> None:
        run(imgs, "memory://bucket/out", formats=AT_ADDRESS, prompts=Boxes(shift), **options)

    again(0)
    (mask,) = memory.find("/bucket/out/masks/a.png")
    edited = [mask, "/bucket/out/voc/a.xml", "/bucket/out/idmaps/a.png.png"]
    for place in edited:
        memory.pipe_file(place, b"mine")
    again(2)
    assert [memory.cat_file(place) for place in edited] == [b"mine"] * 3 and "kept: 3 (" in caplog.text
    assert b"<xmin>4</xmin>" in memory.cat_file("/bucket/out/voc/b.xml")
    assert b"<xmin>4</xmin>" in memory.cat_file("/bucket/out/voc/b.png.xml")
    again(4, overwrite=True)
    assert [memory.cat_file(place) for place in edited] == [b"mine"] * 3
    assert b"<xmin>6</xmin>" in memory.cat_file("/bucket/out/voc/b.xml")
    (imgs / "a.png").unlink()
    again(4)
    assert [memory.cat_file(place) for place in edited] == [b"mine"] * 3
    folder("a.png")
    again(6, overwrite_edited=True)
    assert b"mine" not in [memory.cat_file(place) for place in edited[:1] + edited[2:]]


def test_edited_labels_of_a_merge_stay(folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    imgs, out = folder("a.png", "b.png", "c.png"), tmp_path / "all"
    found = find_images([str(imgs)]).images
    kinds = ["png", "voc", "labelme"]

    def merged(shift: int, **options: Any) -> None:
        for index in (1, 2):
            shard = Shard(index, 2)
            identity = {"model": "box", "format": ",".join(kinds), "shard": str(shard)}
            places = [Path(image.path) for image in shard.images(found)]
            part = tmp_path / f"part{index}" / "imgs"
            part.mkdir(parents=True, exist_ok=True)
            for place in places:
                (part / place.name).write_bytes(place.read_bytes())
            job: dict[str, Any] = {"identity": identity, "inputs": "x", "prompts": Boxes(shift)}
            run(part, tmp_path / str(index), formats=frozenset(kinds), tolerance=0.0, **job)
        merge_shards([tmp_path / "1", tmp_path / "2"], out, {}, **options)

    merged(0)
    mask = mask_of(out, "a.png")
    mask.unlink()  # a link to the file of the shard
    for path in (mask, out / "voc/a.xml", out / "labelme/b.json"):
        path.write_bytes(b"mine")
    merged(2)
    assert "kept: 3 (" in caplog.text
    assert [p.read_bytes() for p in (mask, out / "voc/a.xml", out / "labelme/b.json")] == [b"mine"] * 3
    assert b"<xmin>4</xmin>" in (out / "voc/b.xml").read_bytes()
    merged(4, overwrite_edited=True)
    assert b"<xmin>6</xmin>" in (out / "voc/a.xml").read_bytes() and mask.read_bytes() != b"mine"


def test_many_images_do_not_lose_their_results_at_once(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"{number:02}.png" for number in range(24)]
    imgs, out = folder(*names), tmp_path / "out"
    kinds = frozenset({"coco", "png"})
    run(imgs, out, formats=kinds, prompts=Boxes())
    before = {**files_of(out), "journal": (out / "journal.ndjson").read_bytes()}
    for name in names[:11]:
        (imgs / name).rename(tmp_path / name)
    with pytest.raises(HqsamError, match=r"11 of 24 images .*00\.png, 01\.png, 02\.png, ….*`prune`"):
        run(imgs, out, formats=kinds, prompts=Boxes())
    assert {**files_of(out), "journal": (out / "journal.ndjson").read_bytes()} == before
    for name in names[:11]:
        (tmp_path / name).rename(imgs / name)
    with pytest.raises(HqsamError, match="20 of 24 images"):
        run(imgs, out, formats=kinds, prompts=AllBut("2", none=True))
    assert {**files_of(out), "journal": (out / "journal.ndjson").read_bytes()} == before
    job = make_job(imgs, out, AllBut("2", none=True), identity=IDENTITY)
    assert len(make_plan(job, job.outputs()).emptied) == 20
    run(imgs, out, formats=kinds, prompts=AllBut("2", none=True), prune=True)
    assert len(files_of(out)) == 5 and "no longer have prompts, results removed: 20 (00.png" in caplog.text


IDENTITY = {"model": "box", "mask_output": "sum"}


class AllBut(Boxes):
    """Boxes for images whose names begin so; of the others a file says that they have none, or nothing."""

    def __init__(self, start: str, *, none: bool) -> None:
        super().__init__()
        self.start, self.says = start, none

    def for_image(self, file_name: str) -> ImagePrompts:
        found = super().for_image(file_name)
        return found if file_name.startswith(self.start) else replace(found, prompts=[], mentioned=self.says)


def test_images_that_no_prompt_file_mentions_keep_their_results(folder: Folder, tmp_path: Path) -> None:
    imgs, out = folder("a.png", "b.png"), tmp_path / "out"
    run(imgs, out, prompts=Boxes())
    before = files_of(out)
    folder("c.png")
    summary, heard = run(imgs, out, prompts=AllBut("c", none=False))
    assert (summary.done, summary.already_done) == (1, 2)
    assert heard.problems == ["images that no prompt file mentions, results kept: 2 (a.png, b.png)"]
    after = files_of(out)
    assert {name: after[name] for name in before if name != "instances.json"} == {
        name: content for name, content in before.items() if name != "instances.json"
    }


def test_a_photo_that_cannot_be_read_today_keeps_its_results(folder: Folder, tmp_path: Path) -> None:
    imgs, out = folder("a.png", "b.png"), tmp_path / "out"
    run(imgs, out, prompts=Boxes())
    before = files_of(out)
    (imgs / "a.png").unlink()
    os.mkfifo(imgs / "a.png")
    for _ in range(2):
        summary, _ = run(imgs, out, prompts=Boxes())
        assert (summary.exit_code, len(summary.failed)) == (3, 1) and files_of(out) == before
    (imgs / "a.png").unlink()
    folder("a.png")
    assert run(imgs, out, prompts=Boxes())[0].already_done == 2


def test_images_that_fail_are_named_with_the_results_that_they_lose(
    folder: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    imgs, out = folder("a.png", "b.png"), tmp_path / "out"
    run(imgs, out, prompts=Boxes())
    (imgs / "a.png").write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        run(imgs, out, prompts=Boxes())
    assert "images that failed, results removed: 1 (a.png)" in caplog.text
