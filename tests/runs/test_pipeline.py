"""Whole runs, with a model that fills boxes."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.records import ImagePrompts, Instance, Prompt
from hqsam_cli.runs.journal import Journal
from hqsam_cli.runs.pipeline import segment_images
from tests.runs.boxes import Boxes, FillsBoxes, Messages, contents, instance, job, photograph

ROOT = Path(__file__).parents[2]
NAMES = ["a.jpg", "a.png", "z.png", "sub/b.png", "sub/c.png"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Five photos, two of which differ in the suffix alone."""
    folder = tmp_path / "imgs"
    for number, name in enumerate(NAMES):
        photograph(folder / name, 150 + number)
    return folder


def masks_of(output: Path, name: str) -> set[str]:
    return {path.name for path in (output / "masks" / name).glob("*")}


def png_files(output: Path) -> list[Path]:
    return [path for path in output.rglob("*.png") if path.is_file()]


def test_every_format_holds_the_same_masks(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary = segment_images(job(photos, out), FillsBoxes(), Messages())
    assert (summary.exit_code, summary.done, summary.masks, summary.failed) == (0, 5, 10, [])
    assert set(summary.files) == {out / n for n in ("instances.json", "instances.ndjson", "masks", "idmaps")}
    coco = COCO(str(out / "instances.json"))
    assert sorted(coco.anns) == list(range(1, 11))
    assert [image["file_name"] for image in coco.dataset["images"]] == NAMES
    for annotation in coco.dataset["annotations"]:
        name = coco.imgs[annotation["image_id"]]["file_name"]
        mask = coco_mask.decode(annotation["segmentation"])
        assert mask.sum() == annotation["area"] == 63
        png = cv2.imread(str(out / "masks" / name / f"{annotation['id']}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(np.asarray(png) > 0, mask > 0)
    lines = [json.loads(line) for line in (out / "instances.ndjson").read_bytes().splitlines()]
    assert [a for line in lines for a in line["annotations"]] == coco.dataset["annotations"]
    assert len(png_files(out / "idmaps")) == 5
    assert not [path for path in out.rglob("*") if path.name.endswith(".tmp")]


def test_a_second_run_asks_the_model_nothing_and_leaves_the_same_bytes(photos: Path, tmp_path: Path) -> None:
    segment_images(job(photos, tmp_path / "out"), FillsBoxes(), Messages())
    before = contents(tmp_path / "out")
    model = FillsBoxes()
    summary = segment_images(job(photos, tmp_path / "out"), model, Messages())
    assert (summary.exit_code, summary.already_done, model.groups) == (0, 5, [])
    assert contents(tmp_path / "out") == before
    segment_images(job(photos, tmp_path / "other", workers=1), FillsBoxes(), Messages())
    assert contents(tmp_path / "other") == before


def run_of_boxes(photos: Path, out: Path, seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.runs.boxes", str(photos), str(out), str(seconds)], cwd=ROOT)


def wait_for_lines(run: subprocess.Popen[bytes], journal: Path, lines: int) -> None:
    end = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b"\n") < lines:
        assert run.poll() is None and time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(("blow", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 130), (signal.SIGINT, 130)])
def test_a_broken_run_goes_on_to_the_bytes_of_an_unbroken_one(tmp_path: Path, blow: signal.Signals, code: int) -> None:
    photos, out = tmp_path / "imgs", tmp_path / "out"
    for number in range(12):
        photograph(photos / f"{number:02}.png", 140 + number)
    segment_images(job(photos, tmp_path / "unbroken"), FillsBoxes(), Messages())
    run = run_of_boxes(photos, out, 0.3)
    wait_for_lines(run, out / "journal.ndjson", 4)
    run.send_signal(blow)
    assert run.wait(60) == code
    assert not (out / "instances.json").exists()
    model = FillsBoxes()
    summary = segment_images(job(photos, out), model, Messages())
    assert summary.exit_code == 0
    assert 0 < summary.already_done < 12
    assert sum(model.groups) == 12 - summary.already_done
    assert contents(out) == contents(tmp_path / "unbroken")


def test_whole_groups_are_done_again(photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").write_bytes(b"")
    messages = Messages()
    summary = segment_images(job(photos, tmp_path / "out"), FillsBoxes(), messages)
    assert summary.exit_code == 3
    assert [record["error"] is None for record in messages.images] == [True, False, True, True, True]
    photograph(photos / "a.png", 151)
    model = FillsBoxes()
    assert segment_images(job(photos, tmp_path / "out"), model, Messages()).exit_code == 0
    assert model.groups == [2]
    segment_images(job(photos, tmp_path / "unbroken"), FillsBoxes(), Messages())
    assert contents(tmp_path / "out") == contents(tmp_path / "unbroken")


def test_another_photo_of_the_same_name_is_not_taken_for_done(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    segment_images(job(photos, out), FillsBoxes(), Messages())
    photograph(tmp_path / "others" / "a.png", 10)
    summary = segment_images(job(tmp_path / "others", out), FillsBoxes(), Messages())
    assert summary.already_done == 0
    assert {a["area"] for a in COCO(str(out / "instances.json")).dataset["annotations"]} == {0}


def test_a_new_photo_that_shifts_the_numbers_leaves_no_two_alike(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    segment_images(job(photos, out, batch_size=1), FillsBoxes(), Messages())
    photograph(photos / "b.png")
    model = FillsBoxes()
    segment_images(job(photos, out, batch_size=1), model, Messages())
    assert len(model.groups) == 4  # the photo itself, and the three behind it whose ids are others now
    ids = [a["id"] for a in json.loads((out / "instances.json").read_bytes())["annotations"]]
    assert sorted(ids) == list(range(1, 13))
    for name in ("a.jpg", "b.png", "z.png"):
        assert len(masks_of(out, name)) == 2


def test_masks_of_an_earlier_run_go(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    segment_images(job(photos, out, prompts=Boxes(NAMES, each=3)), FillsBoxes(), Messages())
    assert masks_of(out, "a.jpg") == {"1.png", "2.png", "3.png"}
    (photos / "a.png").write_bytes(b"no image")
    fewer = job(photos, out, prompts=Boxes(NAMES, each=1), overwrite=True)
    assert segment_images(fewer, FillsBoxes(), Messages()).exit_code == 3
    assert masks_of(out, "a.jpg") == {"1.png"}
    assert masks_of(out, "a.png") == set()
    assert not (out / "idmaps" / "a.png.png").exists()


def test_images_without_boxes_are_in_the_results(photos: Path, tmp_path: Path) -> None:
    summary = segment_images(job(photos, tmp_path / "out", prompts=Boxes(NAMES, each=0)), FillsBoxes(), Messages())
    assert (summary.exit_code, summary.masks) == (0, 0)
    coco = COCO(str(tmp_path / "out" / "instances.json"))
    assert len(coco.imgs) == 5
    assert not coco.anns


def test_failed_images_are_in_the_results_while_their_size_is_known(photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").write_bytes(b"")

    class FailsOnOne(FillsBoxes):
        def segment(self, images: list[np.ndarray], prompts: list[list[Prompt]]) -> list[list[Instance]]:
            if any(pixels[0, 0, 0] == 152 for pixels in images):
                raise RuntimeError("no such kernel\nmore of it")
            return super().segment(images, prompts)

    messages = Messages()
    summary = segment_images(job(photos, tmp_path / "out"), FailsOnOne(), messages)
    assert summary.exit_code == 3
    assert len(summary.failed) == 2
    assert "a.png: the file is empty" in summary.failed[0]
    assert "z.png: the model failed on it (no such kernel)" in summary.failed[1]
    coco = COCO(str(tmp_path / "out" / "instances.json"))
    assert {image["file_name"] for image in coco.imgs.values()} == {"a.jpg", "sub/b.png", "sub/c.png", "z.png"}
    assert len(coco.anns) == 6  # the photo that shared its group with z.png has its masks


def test_a_machine_without_memory_is_no_fault_of_an_image(photos: Path, tmp_path: Path) -> None:
    class TooLarge(FillsBoxes):
        def segment(self, images: list[np.ndarray], prompts: list[list[Prompt]]) -> list[list[Instance]]:
            raise MemoryError

    with pytest.raises(MemoryError):
        segment_images(job(photos, tmp_path / "out"), TooLarge(), Messages())


def test_estimates_that_are_no_numbers_fail_the_image(photos: Path, tmp_path: Path) -> None:
    class Overflows(FillsBoxes):
        def segment(self, images: list[np.ndarray], prompts: list[list[Prompt]]) -> list[list[Instance]]:
            return [[instance(p, i, np.nan) for p in own] for i, own in zip(images, prompts, strict=True)]

    summary = segment_images(job(photos, tmp_path / "out"), Overflows(), Messages())
    assert len(summary.failed) == 5
    assert "--dtype float32" in summary.failed[0]
    assert b"NaN" not in (tmp_path / "out" / "instances.json").read_bytes()


def test_changed_flags_and_a_second_run_ask_the_model_nothing(photos: Path, tmp_path: Path) -> None:
    model = FillsBoxes()
    flags = {"--mask-output": "sum"}
    Journal(tmp_path / "out", flags, overwrite=False).close()
    with pytest.raises(UsageError, match="--mask-output was sum, is hq"):
        segment_images(job(photos, tmp_path / "out", flags={"--mask-output": "hq"}), model, Messages())
    held = Journal(tmp_path / "out", flags, overwrite=False)
    with pytest.raises(HqsamError, match="another run"):
        segment_images(job(photos, tmp_path / "out", flags=flags), model, Messages())
    held.close()
    assert model.groups == []


def test_an_output_that_is_in_the_way_is_fatal_before_the_model_runs(photos: Path, tmp_path: Path) -> None:
    model = FillsBoxes()
    (tmp_path / "file").write_text("")
    with pytest.raises(HqsamError, match="file/out: cannot be written"):
        segment_images(job(photos, tmp_path / "file" / "out"), model, Messages())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "masks").write_text("")
    with pytest.raises(HqsamError, match="out/masks: cannot be written"):
        segment_images(job(photos, tmp_path / "out"), model, Messages())
    assert model.groups == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_fails_stops_the_run_with_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    photos, out = tmp_path / "imgs", tmp_path / "out"
    for index in range(40):
        photograph(photos / f"{index:02}.png")
    real, calls = os.fsync, iter(range(1000))

    def full_after_ten(file: int) -> None:
        if next(calls) > 10:
            raise OSError(number, os.strerror(number))
        real(file)

    monkeypatch.setattr(os, "fsync", full_after_ten)
    model = FillsBoxes(0.02)
    with pytest.raises(HqsamError, match=r"cannot be written") as fatal:
        segment_images(job(photos, out), model, Messages())
    assert str(out) in str(fatal.value)
    assert ".tmp" not in str(fatal.value)
    assert len(model.groups) < 20
    assert all(np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)).size == 24 * 16 for path in png_files(out))
    assert not [path for path in out.rglob(".*") if path.is_file()]
    monkeypatch.undo()
    assert segment_images(job(photos, out), FillsBoxes(), Messages()).exit_code == 0
    segment_images(job(photos, tmp_path / "unbroken"), FillsBoxes(), Messages())
    assert contents(out) == contents(tmp_path / "unbroken")


def test_a_name_too_long_for_its_outputs_fails_that_image_alone(photos: Path, tmp_path: Path) -> None:
    photograph(photos / ("n" * 250 + ".png"))
    summary = segment_images(job(photos, tmp_path / "out"), FillsBoxes(), Messages())
    assert (summary.done, len(summary.failed)) == (5, 1)
    assert "rename it" in summary.failed[0]
    assert len(png_files(tmp_path / "out" / "masks")) == 10


def test_names_with_newlines_emoji_and_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    photos = tmp_path / "imgs"
    names = [b"a b.png", b"caf\xe9.png", b"new\nline.png", "🪁.png".encode()]
    photograph(photos / "plain.png")
    for name in names:
        os.link(photos / "plain.png", os.fsencode(photos) + b"/" + name)
    out = tmp_path / "out"
    assert segment_images(job(photos, out), FillsBoxes(), Messages()).exit_code == 0
    written = json.loads((out / "instances.json").read_bytes())["images"]
    assert {os.fsencode(image["file_name"]) for image in written} == {b"plain.png", *names}
    assert set(os.listdir(os.fsencode(out / "masks"))) == {b"plain.png", *names}


def test_ndjson_on_a_stream_in_input_order_and_no_files(photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").write_bytes(b"")
    stream = io.BytesIO()
    lines_seen: list[int] = []

    class Watched(FillsBoxes):
        def segment(self, images: list[np.ndarray], prompts: list[list[Prompt]]) -> list[list[Instance]]:
            lines_seen.append(stream.getvalue().count(b"\n"))
            return super().segment(images, prompts)

    before = set(tmp_path.rglob("*"))
    model = Watched(0.2)
    summary = segment_images(job(photos, None, stream=stream, formats=frozenset({"ndjson"})), model, Messages())
    assert summary.exit_code == 3
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [record["file_name"] for record in records] == NAMES
    assert [len(record["annotations"]) for record in records] == [2, 0, 2, 2, 2]
    assert lines_seen[-1] >= 2  # lines do not wait for the end
    assert set(tmp_path.rglob("*")) == before


def test_problems_are_told_in_input_order(photos: Path, tmp_path: Path) -> None:
    class Outside(Boxes):
        def for_image(self, file_name: str) -> ImagePrompts:
            asked = super().for_image(file_name)
            return ImagePrompts(file_name, asked.image_id, None, [Prompt(1, 1, (90.0, 90.0, 95.0, 95.0))])

    messages = Messages()
    segment_images(job(photos, tmp_path / "out", prompts=Outside(NAMES), workers=4), FillsBoxes(), messages)
    assert [text.split(":")[0] for text in messages.problems] == NAMES


def peak_memory(photos: Path, out: Path) -> int:
    tracemalloc.start()
    try:
        segment_images(job(photos, out, formats=frozenset({"coco"})), FillsBoxes(), Messages())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    photograph(tmp_path / "one.png", size=(500, 400))
    peaks: list[int] = []
    for count in (20, 200):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            os.link(tmp_path / "one.png", folder / f"{number}.png")
        peaks.append(peak_memory(folder, tmp_path / f"out{count}"))
    pixels = 500 * 400 * 3
    assert peaks[1] < peaks[0] + 5 * pixels
    assert peaks[1] < 30 * pixels
