"""`hqsam detect`, and the chain of detector and HQ-SAM, from the outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from hqsam_cli.configs import changes
from hqsam_cli.detection import files
from hqsam_cli.detection.yolo import read_detector, write_detector
from tests.cli.conftest import Run
from tests.detection.conftest import object_detector  # noqa: F401 - a fixture

ARGUMENTS = ("--detector", "object.safetensors", "--score-threshold", "0.001", "--max-det", "3", "--batch-size", "2")


def contents(folder: Path) -> dict[str, bytes]:
    """Everything in an output folder but the journal and the head of the JSON, which say how it was made."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "journal.ndjson"]
    found = {str(path.relative_to(folder)): path.read_bytes() for path in paths}
    return {name: data.partition(b'"images":')[2] if name == "instances.json" else data for name, data in found.items()}


@pytest.fixture
def detected(hqsam: Run, photos: Path, object_detector: Path) -> Path:  # noqa: F811
    """`dets.json` of the photos and of a third one of another shape."""
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (200, 90, 3), np.uint8)).save(photos / "c.png")
    result = hqsam("detect", photos, *ARGUMENTS, "--output", "found/dets.json")
    assert result.code == 0
    assert result.out == ""
    assert "3 of 3 images, 9 boxes" in result.err
    return Path("found/dets.json")


def test_coco_json_that_pycocotools_and_segment_read(hqsam: Run, photos: Path, detected: Path) -> None:
    coco = COCO(str(detected))
    assert coco.cats == {1: {"id": 1, "name": "object"}}
    sizes = {image["file_name"]: (image["width"], image["height"]) for image in coco.imgs.values()}
    assert sizes == {"a.jpg": (160, 120), "c.png": (90, 200), "sub/b.png": (160, 120)}
    assert len(coco.anns) == 9
    for annotation in coco.anns.values():
        image = coco.imgs[annotation["image_id"]]
        x, y, w, h = annotation["bbox"]
        assert x >= 0 and y >= 0 and w > 0 and h > 0
        assert x + w <= image["width"] and y + h <= image["height"]
        assert annotation["area"] == pytest.approx(w * h)
        assert annotation["iscrowd"] == 0
        assert 0.001 <= annotation["score"] <= 1
    assert hqsam("detect", photos, *ARGUMENTS, "--format", "results", "-o", "results.json").code == 0
    assert sorted(coco.loadRes("results.json").anns[1]["bbox"]) == sorted(coco.dataset["annotations"][0]["bbox"])
    assert len(hqsam("segment", photos, "--boxes", "results.json", "--images-json", detected, "-o", "-").lines) == 3


def test_one_pass_two_steps_and_a_pipe_give_the_same_bytes(hqsam: Run, photos: Path, detected: Path) -> None:
    one = hqsam("segment", photos, *ARGUMENTS, "--output", "one")
    assert one.code == 0
    assert "detector object.safetensors on cpu, 1 class" in one.err
    assert hqsam("segment", photos, "--boxes", detected, "--batch-size", "2", "--output", "two").code == 0
    lines = hqsam("detect", photos, *ARGUMENTS, "--output", "-").out.encode()
    assert hqsam("segment", photos, "--boxes", "-", "--batch-size", "2", "-o", "piped", stdin=lines).code == 0
    masks = contents(Path("one"))
    assert len(masks) == 10
    assert contents(Path("two")) == masks
    assert contents(Path("piped")) == masks
    assert sorted(COCO("one/instances.json").anns) == sorted(COCO(str(detected)).anns)


def test_the_chain_continues_and_an_added_photo_changes_no_id(hqsam: Run, photos: Path, detected: Path) -> None:
    arguments = ("segment", photos, *ARGUMENTS, "--max-det", "2", "--output", "out")
    assert hqsam(*arguments).code == 0
    whole = contents(Path("out"))
    journal = Path("out/journal.ndjson")
    # Without how it ended, and the last image.
    journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-2]))
    again = hqsam(*arguments)
    assert "2 of 3 images already done" in again.err
    assert contents(Path("out")) == whole
    changed = hqsam(*arguments, "--iou", "0.5")
    assert changed.code == 2
    assert "--iou was 0.7, is 0.5" in changed.err
    Image.fromarray(np.zeros((50, 60, 3), np.uint8)).save(photos / "0.png")
    assert hqsam(*arguments).code == 0
    assert {name: content for name, content in contents(Path("out")).items() if name in whole}.keys() == whole.keys()


def test_yolo_labels_out_and_in(hqsam: Run, photos: Path, detected: Path) -> None:
    with Image.open(photos / "a.jpg") as photo:
        photo.save(photos / "a.png")
    assert hqsam("detect", photos, *ARGUMENTS, "--format", "yolo", "-o", "labels").code == 0
    names = sorted(str(path.relative_to("labels")) for path in Path("labels").rglob("*.txt"))
    assert names == ["a.png.txt", "a.txt", "c.txt", "classes.txt", "sub/b.txt"]
    result = hqsam("segment", photos, "--boxes", "labels", "-o", "-", "-v")
    assert result.code == 0
    assert "skipped" not in result.err
    assert [len(line["annotations"]) for line in result.lines] == [3, 3, 3, 3]
    direct = hqsam("segment", photos, *ARGUMENTS, "-o", "-")
    for ours, theirs in zip(result.lines, direct.lines, strict=True):
        for a, b in zip(ours["annotations"], theirs["annotations"], strict=True):
            assert (a["category_id"], a["area"]) == (1, pytest.approx(b["area"], rel=0.01))


def test_ndjson_keeps_failed_images_apart(hqsam: Run, photos: Path, detected: Path) -> None:
    (photos / "cut.jpg").write_bytes((photos / "a.jpg").read_bytes()[:300])
    result = hqsam("detect", photos, *ARGUMENTS, "--output", "-")
    assert result.code == 3
    assert "cut.jpg" in result.err
    lines: dict[str, Any] = {line["file_name"]: line for line in result.lines}
    assert lines["cut.jpg"]["error"] and not lines["cut.jpg"]["annotations"]
    assert [len(lines[name]["annotations"]) for name in ("a.jpg", "c.png", "sub/b.png")] == [3, 3, 3]
    assert hqsam("detect", photos, *ARGUMENTS, "-f", "ndjson", "-o", "dets.ndjson").code == 3
    assert Path("dets.ndjson").read_text().splitlines() == result.out.splitlines()


@pytest.mark.usefixtures("default_model")
def test_no_prompts_at_all_means_the_embedded_detector(
    hqsam: Run,
    photos: Path,
    object_detector: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = read_detector(object_detector).model
    write_detector(object_detector, model, "yolo11n", imgsz=320, conf=0.001, iou=0.7)
    monkeypatch.setattr(files, "EMBEDDED_PATH", object_detector)
    result = hqsam("segment", photos, "--score-threshold", "0", "-o", "-")
    assert result.code == 0
    found_by = "up to 8 x 8 points and the detector object of this package"
    assert f"no prompts: segmenting objects found by {found_by}" in result.err and "--everything" in result.err
    boxed = hqsam("segment", photos, "--detector", "object", "--score-threshold", "0.001", "--max-det", "1", "-o", "-")
    assert "points" not in boxed.err
    for line, alone in zip(result.lines, boxed.lines, strict=True):
        assert alone["annotations"][0]["segmentation"] in [own["segmentation"] for own in line["annotations"]]
        ids = [annotation["id"] for annotation in line["annotations"]]
        assert ids == list(range(ids[0], ids[0] + len(ids))) and len(alone["annotations"]) == 1 < len(ids)
    scores = [[own["score"] for own in line["annotations"]] for line in result.lines]
    assert all(own == sorted(own, reverse=True) for own in scores)
    sure = hqsam("segment", photos, "--score-threshold", f"{scores[0][1] - 1e-5:.6f}", "--max-det", "5", "-o", "-")
    assert [own["score"] for own in sure.lines[0]["annotations"]] == scores[0][:2]
    likely = hqsam("segment", photos / "a.jpg", "--objects", "-o", "-")
    expected = [own for own in scores[0] if own >= 0.3]
    assert [own["score"] for own in likely.lines[0]["annotations"]] == expected and 0 < len(expected) < len(scores[0])
    assert hqsam("segment", photos, "--dry-run").out.count("a point grid, and boxes of the detector object") == 1
    found = hqsam("detect", photos, "--score-threshold", "0.001", "--max-det", "1", "-o", "-")
    assert [len(line["annotations"]) for line in found.lines] == [1, 1]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["detect", "imgs", "--detector", "object.safetensors", "--classes", "objekt"], 2, "did you mean: object"),
        (["detect", "imgs", "--detector", "gone.pt"], 2, "gone.pt"),
        (["detect", "imgs", "--detector", "yolov8s-world.pt"], 2, "/yolov8s-world.pt, and pass its path with --trust"),
        (["detect", "imgs", "--detector", "evil.pt"], 2, "--trust-detector"),
        (["detect", "imgs", "--detector", "evil.pt", "--trust-detector"], 1, "cannot load it"),
        (["detect", "nothing*.jpg", "--detector", "object.safetensors"], 4, "no image"),
        (["detect", "imgs", "--detector", "object.safetensors", "-o", "-", "-f", "coco"], 2, "only NDJSON"),
        (["detect", "imgs", "--detector", "object.safetensors", "-o", "imgs"], 2, "is a folder"),
        (["detect", "imgs", "--detector", "object.safetensors", "-o", "dets.json/x"], 1, "cannot be written"),
        (["segment", "imgs", "--detector", "object.safetensors", "--salient"], 2, "--detector predicts the boxes"),
        (["segment", "imgs", "--detector", "object.safetensors", "--boxes", "dets.json"], 2, "--detector predicts"),
        (
            ["segment", "imgs", "--boxes", "dets.json", "--iou", "0.5"],
            2,
            "--iou: applies to a detector",
        ),
        (["segment", "imgs", "--detector", "object.safetensors", "--half"], 2, "--half"),
        (["segment", "imgs", "--everything", "--classes", "dog"], 2, "--classes: applies to a detector"),
        (["segment", "imgs", "--salient", "--box-format", "xyxy"], 2, "--box-format: applies to files of prompts"),
        (["segment", "imgs", "--crowds", "keep"], 2, "--crowds: applies to files of prompts"),
        (["segment", "imgs", "--boxes", "gone.json", "--model", "gone"], 2, "gone: neither a checkpoint nor"),
    ],
)
def test_mistakes_end_in_one_line_and_their_exit_code(
    hqsam: Run,
    photos: Path,
    object_detector: Path,  # noqa: F811
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    Path("evil.pt").write_bytes(b"no pickle")
    result = hqsam(*arguments)
    assert result.code == code
    assert said in result.err
    assert "Traceback" not in result.err
    assert not Path("hqsam_out").exists()


def test_without_a_detector_it_says_what_is_missing(
    hqsam: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "EMBEDDED_PATH", tmp_path / "gone.safetensors")
    result = hqsam("segment", photos)
    assert result.code == 2
    assert "--detector NAME" in result.err
    assert hqsam("detect", photos).code == 2


def test_without_an_output_it_writes_to_a_folder_of_its_own(
    hqsam: Run,
    photos: Path,
    object_detector: Path,  # noqa: F811
) -> None:
    mine = Path("dets.json").read_bytes()
    assert hqsam("detect", photos, *ARGUMENTS).code == 0
    assert Path("dets.json").read_bytes() == mine
    assert len(COCO("hqsam_detect/dets.json").imgs) == 2
    refused = hqsam("detect", photos, *ARGUMENTS, "-o", "dets.json")
    assert refused.code == 2 and "dets.json: already exists, and was not written by hqsam" in refused.err
    assert Path("dets.json").read_bytes() == mine
    assert hqsam("detect", photos, *ARGUMENTS, "-o", "dets.json", "--overwrite").code == 0
    assert hqsam("detect", photos, *ARGUMENTS, "-o", "dets.json").code == 0


def test_it_goes_on_where_it_stopped_and_does_new_photos_alone(hqsam: Run, photos: Path, detected: Path) -> None:
    before = json.loads(detected.read_text())
    Image.fromarray(np.zeros((50, 60, 3), np.uint8)).save(photos / "0.png")
    command = ("detect", photos, *ARGUMENTS, "--output", detected)
    assert hqsam(*command, "--dry-run").out.split()[:6] == ["images", "4", "done", "3", "left", "1"]
    again = hqsam(*command)
    assert "3 of 4 images already done" in again.err
    after = json.loads(detected.read_text())
    assert [image for image in after["images"] if image["file_name"] != "0.png"] == before["images"]
    changed = hqsam(*command, "--score-threshold", "0.5")
    assert changed.code == 2 and "--score-threshold was 0.001, is 0.5" in changed.err
    assert f"{detected} contains results of another run" in changed.err
    assert json.loads(detected.read_text())["info"]["detector_sha256"] == after["info"]["detector_sha256"]


def test_results_have_the_image_ids_of_the_truth(
    hqsam: Run,
    photos: Path,
    object_detector: Path,  # noqa: F811
) -> None:
    command = ("detect", photos, *ARGUMENTS, "--format", "results")
    assert hqsam(*command, "--images-json", "dets.json", "-o", "r.json").code == 0
    assert {row["image_id"] for row in json.loads(Path("r.json").read_text())} == {11, 12}
    assert len(COCO("dets.json").loadRes("r.json").anns) == 6
    (photos / "a.jpg").rename(photos / "000000000139.jpg")
    numbered = hqsam(*command, "-o", "n.json")
    ids = {row["image_id"] for row in json.loads(Path("n.json").read_text())}
    assert 139 in ids and len(ids) == 2
    assert "names are not numbers, with new ids: 1 (sub/b.png)" in numbered.err


def test_labels_have_five_columns_or_six(
    hqsam: Run,
    photos: Path,
    object_detector: Path,  # noqa: F811
) -> None:
    command = ("detect", photos, *ARGUMENTS, "--format", "yolo")
    for more, columns in (([], 5), (["--save-conf"], 6)):
        assert hqsam(*command, *more, "-o", f"labels{columns}").code == 0
        lines = Path(f"labels{columns}/a.txt").read_text().splitlines()
        assert {len(line.split()) for line in lines} == {columns}
    assert hqsam("detect", photos, *ARGUMENTS, "--save-conf").code == 2


def test_labels_of_others_stay_and_those_of_photos_that_are_gone_go(
    hqsam: Run,
    photos: Path,
    object_detector: Path,  # noqa: F811
) -> None:
    command = ("detect", photos, *ARGUMENTS, "--format", "yolo", "-o", "labels")
    Path("labels").mkdir()
    Path("labels/a.txt").write_text("mine")
    refused = hqsam(*command)
    assert (
        refused.code == 2
        and "labels/a.txt: already exists" in refused.err
        and Path("labels/a.txt").read_text() == "mine"
    )
    assert hqsam(*command, "--overwrite").code == 0 and Path("labels/a.txt").read_text() != "mine"
    Path("labels/sub/b.txt").write_text("corrected by hand")
    (photos / "a.jpg").unlink()
    assert hqsam(*command).code == 0
    assert not Path("labels/a.txt").exists() and Path("labels/sub/b.txt").read_text() == "corrected by hand"


def test_a_label_that_is_there_before_its_photo_stays(hqsam: Run, photos: Path) -> None:
    command = ("detect", photos, "--format", "yolo", "-o", "labels")
    assert hqsam(*command).code == 0
    (photos / "a.png").write_bytes((photos / "sub/b.png").read_bytes())
    (photos / "c.png").write_bytes((photos / "sub/b.png").read_bytes())
    Path("labels/c.txt").write_text("made by hand")
    before = Path("labels/a.txt").read_text()
    ended = hqsam(*command)
    assert ended.code == 0 and "c.txt: not overwritten" in ended.err and "a.txt" not in ended.err
    assert Path("labels/c.txt").read_text() == "made by hand" and Path("labels/a.txt").read_text() == before
    assert Path("labels/a.png.txt").read_text() == Path("labels/sub/b.txt").read_text()
    assert hqsam(*command, "--overwrite").code == 0
    assert Path("labels/c.txt").read_text() == Path("labels/sub/b.txt").read_text()
    Path("labels/sub/b.txt").unlink()
    assert hqsam(*command).code == 0 and Path("labels/sub/b.txt").exists()


def test_results_have_the_categories_of_the_truth(
    hqsam: Run,
    photos: Path,
    object_detector: Path,  # noqa: F811
) -> None:
    document = json.loads(Path("dets.json").read_text())
    command = ("detect", photos, *ARGUMENTS, "--format", "results", "--images-json", "truth.json", "-o")
    for name, number in (("Object", 3), ("disc", 4)):
        Path("truth.json").write_text(json.dumps(document | {"categories": [{"id": 3, "name": name}]}))
        assert hqsam(*command, f"{name}.json").code == 0
        assert {row["category_id"] for row in json.loads(Path(f"{name}.json").read_text())} == {number}


def test_a_refusal_names_no_hashes() -> None:
    found = {"detector": "0123456789abcdef+0123456789abcdef", "iou": "0.7", "model": "0123456789abcdef"}
    given = {"detector": "none", "model": "0123456789abcdef"}
    assert changes(found, given) == ["prompts were found in the images, are given"]
    assert changes(given, found) == ["prompts were given, are found in the images"]
    assert changes(given, {**given, "points_per_side": "32"}) == ["prompts were given, are a grid of points"]
    salient = {**given, "detector": "salient+0123456789abcdef"}
    assert changes(found, salient) == ["prompts were found in the images, are those of the most salient object"]
    assert changes({**found, "format": "png"}, {**given, "format": "coco"}) == [
        "prompts were found in the images, are given",
        "`format` was png, is coco",
    ]
    boxes = {**found, "detector": "0123456789abcdef"}
    assert changes(boxes, found) == ["prompts were boxes of a detector, are found in the images"]
    assert changes(given, {**given, "model": "fedcba9876543210"}) == ["`model` is another"]
    # The threshold is part of the second hash; the detector is the same.
    limited = {**found, "detector": "0123456789abcdef+fedcba9876543210"}
    assert changes({**found, "score_threshold": "0.1"}, {**limited, "score_threshold": "0.3"}) == [
        "`score_threshold` was 0.1, is 0.3"
    ]
    assert changes(found, limited) == ["`detector` is another"]
