"""Objects by example: `--like` and `--like-boxes` of `hqsam segment` and `hqsam detect`, from the outside."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hqsam_cli.detection import files
from hqsam_cli.weights.hub import file_hash
from tests.cli.conftest import Run
from tests.detection.conftest import SaveDetector, saved_detector, saved_yoloe  # noqa: F401 - fixtures

CATEGORIES = [{"id": 7, "name": "red bag"}, {"id": 9, "name": "unused"}, {"id": 3, "name": "ladder"}]
BOXES = {"a.jpg": [(7, [10, 20, 60, 50]), (7, [90, 5, 40, 60])], "b.png": [(3, [5, 5, 100, 90])]}


def write_boxes(path: str, boxes: dict[str, Any]) -> None:
    """A COCO file with boxes, x, y, width and height, of each image."""
    images = [{"id": number, "file_name": name} for number, name in enumerate(boxes)]
    annotations = [
        {"id": 10 * number + n, "image_id": number, "category_id": category, "bbox": box}
        for number, labels in enumerate(boxes.values())
        for n, (category, box) in enumerate(labels, 1)
    ]
    Path(path).write_text(json.dumps({"images": images, "annotations": annotations, "categories": CATEGORIES}))


@pytest.fixture
def like(hqsam: Run, photos: Path, saved_yoloe: SaveDetector) -> list[str]:  # noqa: F811
    """Arguments of a run with two labeled photos and a YOLOE of random weights in the working directory."""
    write_boxes("labels.json", BOXES)
    path = saved_yoloe("yoloe-11s-seg")
    settings = ["--score-threshold", "0", "--max-det", "3", "--imgsz", "160", "--batch-size", "2"]
    return [
        "--like",
        str(photos),
        "--like-boxes",
        "labels.json",
        "--detector",
        path.name,
        "--trust-detector",
        *settings,
    ]


def test_objects_have_the_classes_of_the_examples_in_both_commands(hqsam: Run, photos: Path, like: list[str]) -> None:
    found = hqsam("detect", photos, *like, "-o", "found.json")
    assert found.code == 0, found.err
    assert "examples: 3 objects (red bag, ladder) in 2 photos" in found.err
    assert "detector yoloe-11s-seg.pt on cpu, 2 classes" in found.err
    dets = json.loads(Path("found.json").read_text())
    assert dets["categories"] == [CATEGORIES[0], CATEGORIES[2]]
    assert {own["category_id"] for own in dets["annotations"]} <= {3, 7} and len(dets["annotations"]) == 6
    assert hqsam("segment", photos, *like, "-o", "out").code == 0
    masks = json.loads(Path("out/instances.json").read_text())
    assert masks["categories"] == dets["categories"]
    key = ("id", "category_id")
    assert [[own[k] for k in key] for own in masks["annotations"]] == [
        [own[k] for k in key] for own in dets["annotations"]
    ]


def test_a_run_continues_with_equal_examples_and_refuses_changed_ones(
    hqsam: Run, photos: Path, like: list[str]
) -> None:
    detect = ("detect", photos, *like, "-o", "found.json")
    assert hqsam(*detect).code == 0
    before = Path("found.json").read_bytes()
    again = hqsam(*detect)
    assert (again.code, Path("found.json").read_bytes()) == (0, before)
    assert "already" in again.err
    assert "done     2\nleft     0" in hqsam(*detect, "--dry-run").out
    Path("moved").mkdir()  # other names of the same content
    shutil.copy(photos / "a.jpg", "moved/a.jpg")
    shutil.copy(photos / "sub/b.png", "moved/b.png")
    moved = ["--like", "moved/a.jpg", "--like", "moved/b.png", *like[2:]]
    assert "already" in hqsam("detect", photos, *moved, "-o", "found.json").err
    Image.open("moved/a.jpg").transpose(Image.Transpose.ROTATE_180).save("moved/a.jpg")
    changed = hqsam("detect", photos, *moved, "-o", "found.json")
    assert changed.code == 2 and "--like is another" in changed.err
    write_boxes("labels.json", {**BOXES, "b.png": [(3, [5, 5, 90, 90])]})
    changed = hqsam(*detect)
    assert changed.code == 2 and "--like is another" in changed.err
    assert Path("found.json").read_bytes() == before


def test_the_default_detector_is_downloaded_by_its_hash(
    hqsam: Run, photos: Path, like: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "release" / "yoloe-11l-seg.pt"
    path.parent.mkdir()
    Path("yoloe-11s-seg.pt").rename(path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(files, "ASSETS_URL", path.parent.as_uri())
    monkeypatch.setitem(files.ASSETS, path.name, file_hash(path))
    arguments = [text for text in like if text not in ("--detector", "yoloe-11s-seg.pt", "--trust-detector")]
    dry = hqsam("detect", photos, *arguments, "-o", "-", "--dry-run")
    assert dry.code == 1 and "yoloe-11l-seg.pt: not downloaded, and a dry run downloads nothing" in dry.err
    assert len(hqsam("detect", photos, *arguments, "-o", "-").lines) == 2


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--like", "imgs"], 2, "--like: an example is a photo and its boxes; add --like-boxes"),
        (["--like-boxes", "labels.json"], 2, "--like-boxes: an example is a photo and its boxes; add --like"),
        (["--like", "-", "--like-boxes", "labels.json"], 2, "--like -: cannot be stdin"),
        (["--like", "gone.jpg", "--like-boxes", "labels.json"], 2, "--like gone.jpg: no photo"),
        (["--like", "imgs", "--like-boxes", "gone.json"], 1, "gone.json: cannot be read"),
        (["--like", "imgs", "--like-boxes", "others.json"], 1, "others.json: none of its 1 prompts can be used"),
        (["--like", "imgs", "--like-boxes", "empty.json"], 2, "empty.json: no box in a photo of --like"),
        (["--like", "imgs", "--like-boxes", "labels.json", "--detector", "yolo11n"], 2, "yolo11n: takes no examples"),
        (["--like", "imgs", "--like-boxes", "labels.json", "--boxes", "labels.json"], 2, "--like predicts the boxes"),
        (["--like", "imgs", "--like-boxes", "labels.json", "--everything"], 2, "--everything takes no prompts"),
    ],
)
def test_what_is_not_there_is_one_line_before_anything_is_downloaded(
    hqsam: Run, photos: Path, arguments: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*_: object, **__: object) -> Path:
        raise AssertionError("downloads")

    monkeypatch.setattr(files, "download", download)
    write_boxes("labels.json", BOXES)
    write_boxes("others.json", {"c.png": [(3, [5, 5, 100, 90])]})
    write_boxes("empty.json", {"a.jpg": []})
    result = hqsam("segment", photos, *[photos.name if text == "imgs" else text for text in arguments])
    (error,) = (line for line in result.err.splitlines() if "error" in line)
    assert result.code == code and said in error
