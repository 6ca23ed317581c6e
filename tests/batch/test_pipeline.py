"""Runs that end well, are killed, meet bad images, and run out of disk."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from hqsam_cli.batch.job import make_plan
from hqsam_cli.batch.journal import Journal
from hqsam_cli.batch.pipeline import PreparedRun
from hqsam_cli.batch.steps import Segment
from hqsam_cli.batch.work import LocalEngine, Worker
from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.io.run_folder import JOURNAL
from hqsam_cli.progress import SILENT
from hqsam_cli.records import ImagePrompts, RawPrompt
from tests.batch.boxes_as_masks import BoxPredictor, TwoBoxes, contents, journaled, make_job, run
from tests.batch.other_processes import IDENTITY

PROGRAM = [sys.executable, "-m", "tests.batch.boxes_as_masks"]


def test_a_whole_run(images: Path, tmp_path: Path) -> None:
    summary, reporter = run(images, tmp_path / "out")
    assert (summary.exit_code, summary.done, summary.masks) == (0, 7, 14)
    assert "lambda" not in repr(summary)
    names = [record.file_name for record in reporter.records]
    assert names == ["000.jpg", "002.jpg", "004.jpg", "006.jpg", "sub/001.png", "sub/003.png", "sub/005.png"]
    coco = COCO(str(tmp_path / "out/instances.json"))
    assert [image["file_name"] for image in coco.dataset["images"]] == names
    first = coco.anns[min(coco.anns)]
    assert (first["bbox"], first["area"], first["score"]) == ([1, 2, 8, 6], 48, 0.5)
    results = coco.loadRes([{**a, "score": 0.9} for a in coco.dataset["annotations"]])
    assert len(results.anns) == 14
    png = np.asarray(cv2.imread(str(tmp_path / f"out/masks/000.jpg/{first['id']}.png"), cv2.IMREAD_UNCHANGED))
    assert png.shape == (30, 40)
    assert np.count_nonzero(png) == 48


def test_what_another_run_did_since_the_plan_is_not_done_again(images: Path, tmp_path: Path) -> None:
    predictor = BoxPredictor()
    job = make_job(images, tmp_path / "out", TwoBoxes(), identity=IDENTITY)
    outputs = job.outputs()
    engine = LocalEngine(Worker(job, outputs, Segment(predictor, TwoBoxes.categories)), 1)
    first = PreparedRun(job=job, outputs=outputs, engine=lambda: engine, plan=make_plan(job, outputs))
    run(images, tmp_path / "out")
    assert first.run(SILENT).already_done == 7
    assert predictor.groups == []


def test_names_that_differ_in_their_suffix_do_not_collide(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.png"):
        (tmp_path / "imgs").mkdir(exist_ok=True)
        Image.new("RGB", (40, 30)).save(tmp_path / "imgs" / name)
    run(tmp_path / "imgs", tmp_path / "out")
    assert len(contents(tmp_path / "out/masks")) == 4


def test_what_is_not_done_is_done_and_nothing_else(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "out")
    journal = tmp_path / "out/journal.ndjson"
    lines = journal.read_bytes().splitlines(keepends=True)
    # The third image gone, and the last line torn in the middle.
    records = [place for place, line in enumerate(lines) if b'"file_name"' in line]
    journal.write_bytes(b"".join(lines[: records[2]] + lines[records[3] : records[-1]]) + lines[records[-1]][:20])
    predictor = BoxPredictor()
    summary, _ = run(images, tmp_path / "out", predictor)
    assert predictor.groups == [2]
    assert (summary.done, summary.already_done) == (2, 5)
    again, _ = run(images, tmp_path / "out", predictor)
    assert (again.done, again.already_done, again.exit_code) == (0, 7, 0)


def test_failed_images_are_named_and_tried_again_when_asked_for(images: Path, tmp_path: Path) -> None:
    (images / "bad.jpg").write_bytes(b"")
    Image.new("RGB", (40, 30), (255, 0, 0)).save(images / "red.png")
    summary, _ = run(images, tmp_path / "out")
    assert (summary.exit_code, summary.done, len(summary.failed)) == (3, 7, 2)
    assert "bad.jpg" in summary.failed[0]
    assert "red.png" in summary.failed[1] and "cannot bear red" in summary.failed[1]
    assert len(COCO(str(tmp_path / "out/instances.json")).anns) == 14
    again, reporter = run(images, tmp_path / "out")
    assert (again.exit_code, again.already_done, again.failed, again.failed_before) == (3, 7, [], 2)
    assert ["`retry_failed`" in problem for problem in reporter.problems] == [True]
    summary, _ = run(images, tmp_path / "out", retry_failed=True)
    assert (summary.exit_code, summary.done, len(summary.failed)) == (3, 0, 2)


def test_a_failed_image_that_was_mended_is_tried_again(images: Path, tmp_path: Path) -> None:
    (images / "bad.jpg").write_bytes(b"")
    run(images, tmp_path / "out")
    Image.new("RGB", (40, 30)).save(images / "bad.jpg")
    summary, _ = run(images, tmp_path / "out")
    assert (summary.exit_code, summary.done, summary.failed_before) == (0, 1, 0)
    (images / "bad.jpg").unlink()
    assert run(images, tmp_path / "out")[0].already_done == 7
    assert len(COCO(str(tmp_path / "out/instances.json")).anns) == 14


@pytest.mark.parametrize("most", [0, 2])
def test_more_failures_than_allowed_stop_a_run_that_goes_on_without_them(
    images: Path, tmp_path: Path, most: int
) -> None:
    for number in range(4):
        (images / f"{number}.jpg").write_bytes(b"")
    options: dict[str, Any] = {"max_errors": most, "batch_size": 1, "threads": 1}
    stopped, _ = run(images, tmp_path / "out", **options)
    assert (stopped.exit_code, stopped.stopped) == (1, True)
    assert most < len(stopped.failed) <= 4 and stopped.done + len(stopped.failed) < 11
    known = {image["file_name"] for image in COCO(str(tmp_path / "out/instances.json")).dataset["images"]}
    assert known == set(journaled(tmp_path / "out")) - {f"{number}.jpg" for number in range(4)}
    while stopped.stopped:
        stopped, _ = run(images, tmp_path / "out", **options)
    assert stopped.exit_code == 3 and len(COCO(str(tmp_path / "out/instances.json")).anns) == 14
    run(images, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_other_flags_are_refused_by_name_and_overwrite_starts_again(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "out")
    flags = {"model": "box", "mask_output": "hq"}
    with pytest.raises(UsageError, match=r"`mask_output` was sum, is hq.*`overwrite`"):
        run(images, tmp_path / "out", identity=flags)
    summary, _ = run(images, tmp_path / "out", identity=flags, overwrite=True)
    assert summary.done == 7


def test_masks_of_an_earlier_run_do_not_stay(images: Path, tmp_path: Path) -> None:
    class OneBox(TwoBoxes):
        def for_image(self, file_name: str) -> ImagePrompts:
            found = super().for_image(file_name)
            return replace(found, prompts=found.prompts[1:])

    def masks(out: Path) -> dict[str, bytes]:
        return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*.png") if path.is_file()}

    run(images, tmp_path / "out")
    run(images, tmp_path / "out", prompts=OneBox())
    run(images, tmp_path / "new", prompts=OneBox())
    assert masks(tmp_path / "out") == masks(tmp_path / "new")


def test_two_runs_do_not_write_the_same_folder(images: Path, tmp_path: Path) -> None:
    journal = Journal(tmp_path / "out" / JOURNAL, {}, overwrite=False)
    with pytest.raises(HqsamError, match="another run"):
        run(images, tmp_path / "out")
    journal.close()


def test_a_full_disk_is_fatal_at_once_and_leaves_nothing_half_written(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    def replace(source: Any, target: Any) -> None:
        nonlocal written
        written += 1
        if written > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        os.rename(source, target)

    monkeypatch.setattr("hqsam_cli.io.atomic.os.replace", replace)
    with pytest.raises(HqsamError, match="No space left"):
        run(images, tmp_path / "out")
    monkeypatch.undo()
    assert not list((tmp_path / "out").rglob("*.tmp"))
    for line in (tmp_path / "out/journal.ndjson").read_text().splitlines():
        record = json.loads(line)
        for annotation in record.get("annotations", ()):
            assert (tmp_path / "out/masks" / record["file_name"] / f"{annotation['id']}.png").stat().st_size
    assert run(images, tmp_path / "out")[0].exit_code == 0


def test_an_output_that_cannot_be_a_folder_is_fatal_before_any_work(images: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    predictor = BoxPredictor()
    with pytest.raises(HqsamError, match="out"):
        run(images, tmp_path / "out", predictor)
    assert predictor.groups == []


def test_lines_on_a_stream(images: Path) -> None:
    stream = io.BytesIO()
    run(images, None, formats=frozenset({"ndjson"}), stream=stream)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(lines) == 7
    assert set(lines[0]) == {"file_name", "image_id", "width", "height", "annotations", "error"}


def test_names_of_any_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "imgs"
    folder.mkdir()
    for name in ("a b.png", "new\nline.png", "\N{GRINNING FACE}.png", "\udcff.png"):
        Image.new("RGB", (40, 30)).save(folder / name, format="PNG")
    summary, _ = run(folder, tmp_path / "out")
    assert summary.exit_code == 0
    names = {image["file_name"] for image in json.loads((tmp_path / "out/instances.json").read_text())["images"]}
    assert names == {"a b.png", "new\nline.png", "\N{GRINNING FACE}.png", "\udcff.png"}
    assert len(contents(tmp_path / "out/masks")) == 8


class Growing(TwoBoxes):
    """Two boxes an image, and one more in those that are named."""

    def __init__(self, *more: str) -> None:
        self.more = more

    def for_image(self, file_name: str) -> ImagePrompts:
        own = super().for_image(file_name)
        extra = [RawPrompt(5, box=(0.0, 0.0, 5.0, 5.0))] if file_name in self.more else []
        return replace(own, prompts=own.prompts + extra)


def test_photos_and_boxes_that_come_later_are_done_and_nothing_else(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "out")
    before = contents(tmp_path / "out/masks")
    Image.new("RGB", (40, 30)).save(images / "001 new.png")
    predictor = BoxPredictor()
    summary, _ = run(images, tmp_path / "out", predictor, prompts=Growing("004.jpg"))
    assert (summary.done, summary.already_done, predictor.groups) == (2, 6, [2])
    after = contents(tmp_path / "out/masks")
    assert {name: after[name] for name in before} == before
    assert {name.partition("/")[0] for name in after.keys() - before.keys()} == {"001 new.png", "004.jpg"}
    whole = run(images, tmp_path / "whole", prompts=Growing("004.jpg"))[0]
    assert whole.exit_code == 0 and contents(tmp_path / "whole") == contents(tmp_path / "out")


def test_content_decides_not_time_or_the_way_the_folder_is_written(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(images, tmp_path / "out")
    for path in images.rglob("*.*"):
        os.utime(path, (1, 1))
    (images / "002.jpg").write_bytes((images / "000.jpg").read_bytes())
    os.utime(images / "002.jpg", (1, 1))
    monkeypatch.chdir(tmp_path)
    summary, _ = run(Path("imgs/sub/.."), tmp_path / "out")
    assert (summary.done, summary.already_done) == (1, 6)


def test_masks_that_somebody_took_away_are_made_again(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "out")
    whole = contents(tmp_path / "out")
    sorted((tmp_path / "out/masks/004.jpg").iterdir())[0].unlink()
    summary, _ = run(images, tmp_path / "out")
    assert summary.done == 1 and contents(tmp_path / "out") == whole


def test_photos_that_are_gone_leave_the_results_and_those_that_are_elsewhere_do_not(
    images: Path, tmp_path: Path
) -> None:
    run(images, tmp_path / "out")
    (images / "004.jpg").unlink()
    run(images / "sub", tmp_path / "out")
    assert not (tmp_path / "out/masks/004.jpg").exists()
    assert (tmp_path / "out/masks/002.jpg").is_dir()
    run(images, tmp_path / "out")
    assert len(COCO(str(tmp_path / "out/instances.json")).imgs) == 6


def test_a_file_that_no_run_wrote_is_not_replaced_unasked(images: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/instances.json").write_text("mine")
    with pytest.raises(UsageError, match=r"instances\.json: already exists.*`overwrite`"):
        run(images, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_file()] == ["instances.json"]
    assert (tmp_path / "out/instances.json").read_text() == "mine"
    assert run(images, tmp_path / "out", overwrite=True)[0].exit_code == 0
    assert run(images, tmp_path / "out")[0].already_done == 7


def test_masks_that_no_run_made_are_not_taken_away_unasked(images: Path, tmp_path: Path) -> None:
    mine = tmp_path / "out/masks/000.jpg/7.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(UsageError, match=r"7\.png: already exists"):
        run(images, tmp_path / "out")
    assert mine.read_bytes() == b"mine" and not (tmp_path / "out/journal.ndjson").exists()
    run(images, tmp_path / "out", overwrite=True)
    assert not mine.exists()


def test_what_was_lost_before_is_still_lost(images: Path, tmp_path: Path) -> None:
    class Outside(TwoBoxes):
        def for_image(self, file_name: str) -> ImagePrompts:
            own = super().for_image(file_name)
            return replace(own, prompts=[*own.prompts, RawPrompt(5, box=(500.0, 500.0, 505.0, 505.0))])

    for _ in range(2):
        assert run(images, tmp_path / "out", prompts=Outside())[0].lost == 7
