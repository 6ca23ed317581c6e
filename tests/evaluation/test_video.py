"""DAVIS: objects of frames, and means over them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from hqsam_cli.data.sets import find_dataset
from hqsam_cli.errors import HqsamError, ImageError
from hqsam_cli.evaluation.scores import ImageScores
from hqsam_cli.evaluation.video import VideoTask, frame_boxes, video_figures, video_frames

from .conftest import KnownMasks


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two sequences; object 2 of `dog` is not seen in its third frame, and object 3 comes too late to count."""
    for sequence, frames in (("cat", 3), ("dog", 4)):
        for number in range(frames):
            ids = np.zeros((60, 80), np.uint8)
            ids[10:50, 10:30] = 1
            if sequence == "dog" and number != 2:
                ids[5:25, 40:70] = 2
            if sequence == "dog" and number > 0:
                ids[30:50, 40:70] = 3
            ids[-2:] = 255
            image = Image.fromarray(ids, "P")
            image.putpalette([n % 256 for n in range(768)])
            for part in ("Annotations", "JPEGImages"):
                (tmp_path / "DAVIS" / part / "480p" / sequence).mkdir(parents=True, exist_ok=True)
            image.save(tmp_path / f"DAVIS/Annotations/480p/{sequence}/{number:05d}.png")
            photo = tmp_path / f"DAVIS/JPEGImages/480p/{sequence}/{number:05d}.jpg"
            cv2.imwrite(str(photo), np.full((60, 80, 3), 90, np.uint8))
    return tmp_path


def task_of(root: Path, evaluator: KnownMasks, boxes: Path | None = None) -> VideoTask:
    frames, _ = video_frames(find_dataset("davis", root))
    return VideoTask(
        key="davis", items=frames, evaluator=evaluator, boxes=None if boxes is None else frame_boxes(boxes)
    )


def records(root: Path, evaluator: KnownMasks, boxes: Path | None = None) -> list[ImageScores]:
    task = task_of(root, evaluator, boxes)
    return [task.score(frame, task.load(frame)) for frame in task.items]


def test_frames_come_by_sequence_without_the_first_and_the_last(root: Path) -> None:
    frames, problems = video_frames(find_dataset("davis", root))
    assert problems == [] and [frame.name for frame in frames] == ["cat/00001", "dog/00001", "dog/00002"]
    assert [frame.objects for frame in frames] == [(1,), (1, 2), (1, 2)]
    (root / "DAVIS/ImageSets/2017").mkdir(parents=True)
    (root / "DAVIS/ImageSets/2017/val.txt").write_text("dog\n")
    assert len(video_frames(find_dataset("davis", root))[0]) == 2


def test_what_sequences_lack_is_said(root: Path) -> None:
    (root / "DAVIS/ImageSets/2017").mkdir(parents=True)
    (root / "DAVIS/ImageSets/2017/val.txt").write_text("cat\ndog\nhorse\n")
    annotations = root / "DAVIS/Annotations/480p"
    (annotations / "cat/00002.png").unlink()
    (annotations / "dog/00003.png").unlink()
    frames, problems = video_frames(find_dataset("davis", root))
    assert [frame.name for frame in frames] == ["dog/00001"]
    assert problems == [
        f"{annotations}: sequences without annotated frames, skipped: 1 (horse)",
        f"{annotations}: sequences of fewer than three annotated frames, skipped: 1 (cat)",
        f"{annotations}: sequences with fewer annotated frames than images: 1 (dog)",
    ]


def test_ids_that_are_missing_below_the_largest_are_objects_as_in_davis(root: Path, box_filler: KnownMasks) -> None:
    for path in (root / "DAVIS/Annotations/480p/cat").iterdir():
        with Image.open(path) as image:
            ids, palette = np.asarray(image).copy(), image.getpalette()
        ids[ids == 1] = 3
        changed = Image.fromarray(ids, "P")
        changed.putpalette(palette or [])
        changed.save(path)
    frames, _ = video_frames(find_dataset("davis", root))
    assert [frame.objects for frame in frames] == [(1, 2, 3), (1, 2), (1, 2)]
    half = video_figures(records(root, box_filler), "sam")
    # Of the sequence with a gap, two objects are never visible, which an empty mask gets right.
    assert half["J"] == pytest.approx((100 + 100 + 50 + 50 + (50 + 100) / 2) / 5)


def test_means_are_over_objects(root: Path, box_filler: KnownMasks) -> None:
    made = records(root, box_filler)
    assert [own.prompt for own in made[2].scores if own.mask_output == "sum"] == ["object 1", "object 2"]
    assert video_figures(made, "sum") == {"J&F": 100.0, "J": 100.0, "F": 100.0}
    half = video_figures(made, "sam")
    # Two objects are half found; the third in one of its frames, and rightly not at all in the other.
    assert half["J"] == pytest.approx((50 + 50 + (50 + 100) / 2) / 3) and 20 < half["F"] < 90
    assert half["J&F"] == pytest.approx((half["J"] + half["F"]) / 2)


def test_boxes_of_a_file_and_objects_it_does_not_know(root: Path, box_filler: KnownMasks, tmp_path: Path) -> None:
    boxes = {name: {"1": [10, 10, 20, 40]} for name in ("cat/00001", "dog/00001", "dog/00002")}
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    figures = video_figures(records(root, box_filler, tmp_path / "boxes.json"), "sum")
    assert figures["J"] == pytest.approx(100 * (2 + 1 / 2) / 3), "the third object has no box where it is seen"
    boxes["dog/00002"]["2"] = [40, 5, 30, 20]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    figures = video_figures(records(root, box_filler, tmp_path / "boxes.json"), "sum")
    assert figures["J"] == pytest.approx(100 * 2 / 3), "and now one where it is not"


def test_what_is_no_davis(root: Path, box_filler: KnownMasks, tmp_path: Path) -> None:
    frame = video_frames(find_dataset("davis", root))[0][0]
    with Image.open(frame.ids) as palette:
        palette.convert("RGB").save(frame.ids)
    with pytest.raises(ImageError, match="colors instead of object ids"):
        task_of(root, box_filler).load(frame)
    (tmp_path / "boxes.json").write_text("[1]")
    with pytest.raises(HqsamError, match="expected: "):
        frame_boxes(tmp_path / "boxes.json")
