"""Runs over files that changed, prompts that moved, and disks, names and models that fail."""

from __future__ import annotations

import errno
import io
import json
import os
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from hqsam_cli.errors import HqsamError, ReaderGoneError
from hqsam_cli.inference.preprocess import ResizedImage
from hqsam_cli.io.find import find_images
from hqsam_cli.records import ImagePrompts, Instance, Prompt, RawPrompt
from tests.batch.boxes_as_masks import BoxPredictor, TwoBoxes, contents, run

NAMES = ["a.jpg", "a.png", "z.png", "sub/b.png", "sub/c.png"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "imgs"
    for number, name in enumerate(NAMES):
        photograph(folder / name, 30 * number)
    return folder


def photograph(path: Path, green: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 30), (0, green, 90)).save(path)


def png_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.png") if path.is_file())


class NumberedBoxes(TwoBoxes):
    """`each` boxes an image at `place`, numbered in the order of the images."""

    def __init__(self, photos: Path, each: int = 1, place: float = 1.0) -> None:
        self.names = [image.file_name for image in find_images([str(photos)]).images]
        self.each, self.place = each, place

    def for_image(self, file_name: str) -> ImagePrompts:
        first = self.each * self.names.index(file_name) + 1
        box = (self.place, self.place, self.place + 6, self.place + 5)
        return ImagePrompts(file_name, 5, None, [RawPrompt(first + n, box=box) for n in range(self.each)])


def test_every_format_holds_the_same_masks(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    summary, _ = run(photos, out, formats=frozenset({"coco", "png", "idmap", "ndjson"}))
    assert set(summary.files) == {out / n for n in ("instances.json", "instances.ndjson", "masks", "idmaps")}
    coco = COCO(str(out / "instances.json"))
    for image in coco.dataset["images"]:
        ids = np.asarray(cv2.imread(str(out / "idmaps" / f"{image['file_name']}.png"), cv2.IMREAD_UNCHANGED))
        covered = np.zeros((30, 40), bool)
        for annotation in coco.imgToAnns[image["id"]]:
            mask = coco_mask.decode(annotation["segmentation"]) > 0
            path = out / "masks" / image["file_name"] / f"{annotation['id']}.png"
            assert np.array_equal(np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)) > 0, mask)
            covered |= mask
        assert np.array_equal(ids > 0, covered)
    lines = [json.loads(line) for line in (out / "instances.ndjson").read_bytes().splitlines()]
    assert [a for line in lines for a in line["annotations"]] == coco.dataset["annotations"]


def test_threads_do_not_change_a_byte(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "one", threads=1)
    run(photos, tmp_path / "four", threads=4)
    assert contents(tmp_path / "one") == contents(tmp_path / "four")


def test_another_photo_of_the_same_name_is_not_taken_for_done(photos: Path, tmp_path: Path) -> None:
    run(photos, tmp_path / "out")
    photograph(tmp_path / "others" / "a.png", 10)
    predictor = BoxPredictor()
    _, reporter = run(tmp_path / "others", tmp_path / "out", predictor)
    assert (reporter.already_done, predictor.groups) == (0, [1])


def test_a_new_photo_that_shifts_the_numbers_leaves_no_two_alike(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(photos, out, prompts=NumberedBoxes(photos), batch_size=1)
    photograph(photos / "b.png")
    predictor = BoxPredictor()
    run(photos, out, predictor, prompts=NumberedBoxes(photos), batch_size=1)
    assert len(predictor.groups) == 4  # the photo itself, and the three behind it whose numbers are others now
    assert [a["id"] for a in json.loads((out / "instances.json").read_bytes())["annotations"]] == [1, 2, 3, 4, 5, 6]
    assert [path.name for path in png_files(out)] == ["1.png", "2.png", "3.png", "5.png", "6.png", "4.png"]


def test_fewer_boxes_and_broken_photos_leave_no_masks_of_an_earlier_run(photos: Path, tmp_path: Path) -> None:
    out, formats = tmp_path / "out", frozenset({"coco", "png", "idmap"})
    run(photos, out, prompts=NumberedBoxes(photos, each=2), formats=formats)
    (photos / "a.png").write_bytes(b"no image")
    again, _ = run(photos, out, prompts=NumberedBoxes(photos, each=1), formats=formats, overwrite=True)
    assert again.exit_code == 3
    assert [path.name for path in png_files(out / "masks" / "a.jpg")] == ["1.png"]
    assert png_files(out / "masks" / "a.png") == []
    assert (out / "idmaps" / "a.jpg.png").exists()
    assert not (out / "idmaps" / "a.png.png").exists()


def test_images_without_boxes_are_in_the_results(photos: Path, tmp_path: Path) -> None:
    summary, _ = run(photos, tmp_path / "out", prompts=NumberedBoxes(photos, each=0))
    assert (summary.exit_code, summary.done, summary.masks) == (0, 5, 0)
    assert len(json.loads((tmp_path / "out/instances.json").read_bytes())["images"]) == 5


def test_failed_images_are_in_the_results_while_their_size_is_known(photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").write_bytes(b"")
    Image.new("RGB", (40, 30), (255, 0, 0)).save(photos / "z.png")  # which the model cannot bear
    summary, _ = run(photos, tmp_path / "out")
    assert len(summary.failed) == 2
    images = json.loads((tmp_path / "out/instances.json").read_bytes())["images"]
    assert [image["file_name"] for image in images] == ["a.jpg", "z.png", "sub/b.png", "sub/c.png"]


def test_a_machine_without_memory_is_no_fault_of_an_image(photos: Path, tmp_path: Path) -> None:
    class TooLarge(BoxPredictor):
        def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
            raise MemoryError

    with pytest.raises(MemoryError):
        run(photos, tmp_path / "out", TooLarge())


def test_estimates_that_are_no_numbers_fail_the_image(photos: Path, tmp_path: Path) -> None:
    class Overflows(BoxPredictor):
        def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
            made = super().predict_batch(images, prompts)
            return [[Instance(i.prompt, i.mask, float("nan")) for i in own] for own in made]

    summary, _ = run(photos, tmp_path / "out", Overflows())
    assert len(summary.failed) == 5
    assert "`dtype` float32" in summary.failed[0]
    assert b"NaN" not in (tmp_path / "out/instances.json").read_bytes()


def test_a_file_where_masks_belong_is_fatal_before_any_work(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "masks").write_text("mine")
    predictor = BoxPredictor()
    with pytest.raises(HqsamError, match="out/masks: cannot be written"):
        run(photos, tmp_path / "out", predictor)
    assert predictor.groups == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_disk_that_fails_stops_the_run_soon_and_names_the_file(
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
    predictor = BoxPredictor(0.02)
    with pytest.raises(HqsamError, match=r"(\d+\.png|journal\.ndjson): cannot be written"):
        run(photos, out, predictor)
    monkeypatch.undo()
    assert len(predictor.groups) < 15
    assert not list(out.rglob("*.tmp"))
    assert all(np.asarray(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)).size == 1200 for path in png_files(out))
    assert run(photos, out)[0].exit_code == 0
    run(photos, tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_a_name_too_long_for_its_outputs_fails_that_image_alone(photos: Path, tmp_path: Path) -> None:
    photograph(photos / ("n" * 250 + ".png"))
    summary, _ = run(photos, tmp_path / "out", formats=frozenset({"idmap"}))
    assert (summary.done, len(summary.failed)) == (5, 1)
    assert "rename the image" in summary.failed[0]


def test_lines_of_a_stream_come_in_input_order_and_before_the_end(photos: Path, tmp_path: Path) -> None:
    (photos / "a.png").write_bytes(b"")
    before = set(tmp_path.rglob("*"))
    stream = io.BytesIO()
    lines_seen: list[int] = []

    class Watched(BoxPredictor):
        def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
            lines_seen.append(stream.getvalue().count(b"\n"))
            return super().predict_batch(images, prompts)

    summary, _ = run(photos, None, Watched(0.2), formats=frozenset({"ndjson"}), stream=stream)
    assert summary.exit_code == 3
    records = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [record["file_name"] for record in records] == NAMES
    assert [len(record["annotations"]) for record in records] == [2, 0, 2, 2, 2]
    assert lines_seen[-1] >= 2
    assert set(tmp_path.rglob("*")) == before


def test_a_stream_that_takes_no_more(photos: Path) -> None:
    class Refuses(io.BytesIO):
        def __init__(self, error: OSError) -> None:
            super().__init__()
            self.error = error

        def flush(self) -> None:
            raise self.error

    with pytest.raises(HqsamError, match="results cannot be written"):
        run(photos, None, formats=frozenset({"ndjson"}), stream=Refuses(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(ReaderGoneError):
        run(photos, None, formats=frozenset({"ndjson"}), stream=Refuses(BrokenPipeError()))


def test_problems_are_told_in_input_order(photos: Path, tmp_path: Path) -> None:
    _, reporter = run(photos, tmp_path / "out", prompts=NumberedBoxes(photos, place=90.0), threads=4)
    assert [text.split(":")[0] for text in reporter.problems] == NAMES


def peak_memory(photos: Path, out: Path) -> int:
    tracemalloc.start()
    try:
        run(photos, out, formats=frozenset({"coco"}))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    width, height = 500, 400
    Image.new("RGB", (width, height)).save(tmp_path / "one.png")
    peaks: list[int] = []
    for count in (20, 200):
        folder = tmp_path / str(count)
        folder.mkdir()
        for number in range(count):
            os.link(tmp_path / "one.png", folder / f"{number}.png")
        peaks.append(peak_memory(folder, tmp_path / f"out{count}"))
    # Threads make a peak vary by a few images; keeping what is done would add 180.
    assert peaks[1] < peaks[0] + 10 * width * height * 3
