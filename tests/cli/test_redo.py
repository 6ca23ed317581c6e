"""`hqsam segment --redo` from the outside."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.cli.conftest import Run
from tests.detection.conftest import object_detector  # noqa: F401 - a fixture

FORMATS = ("-f", "coco,yolo-seg,voc")
WAYS = {
    "other boxes": ("--boxes", "bolts.json"),
    "typed": ("--box", "30,30,90,90"),
    "most salient": ("--salient",),
    "everything": (
        "--everything",
        "--points-per-side",
        "2",
        "--pred-iou-thresh",
        "0.2",
        "--stability-score-thresh",
        "0.2",
    ),
    "bare": ("--max-det", "4"),
    "detector": ("--detector", "object.safetensors", "--score-threshold", "0.001", "--max-det", "2"),
}


def test_one_photo_of_a_run_with_a_typed_box(hqsam: Run, photos: Path) -> None:
    assert hqsam("segment", photos, "--boxes", "dets.json", "-o", "out").code == 0
    one = ("segment", photos / "a.jpg", "--box", "30,30,90,90", "-o", "out", "--mask-output", "hq")
    refused = hqsam(*one)
    assert refused.code == 2 and "--redo to process only the given images again" in refused.err, refused.err
    assert hqsam(*one, "--redo").code == 0
    coco = json.loads(Path("out/instances.json").read_text())
    assert [image["file_name"] for image in coco["images"]] == ["a.jpg", "sub/b.png"]
    assert coco["annotations"][0]["prompt_box"] == [30, 30, 60, 60]
    assert {own["category_id"] for own in coco["annotations"]} == {3}, "the only category of the run"
    status = json.loads(hqsam("status", "out", "--json").out)
    assert (status["images"], status["done"], status["left"]) == (2, 2, 0)
    plan = hqsam("segment", photos, "--boxes", "dets.json", "-o", "out", "--dry-run")
    assert "redone earlier  1 (a.jpg)" in plan.out, plan.out


def test_redone_photos_are_done_though_the_run_had_no_results(hqsam: Run, photos: Path) -> None:
    command = ("segment", photos / "a.jpg", "--boxes", "dets.json", "-o", "out", "-f", "coco")
    assert hqsam(*command, "--max-pixels", "100").code != 0
    assert hqsam(*command, "--mask-output", "hq", "--redo").code == 0
    assert "1 of 1 images already done" in hqsam(*command, "--mask-output", "hq", "--redo").err
    plan = hqsam(*command, "--max-pixels", "100", "--dry-run")
    assert "redone earlier  1 (imgs/a.jpg)" in plan.out, plan.out


def test_classes_of_redone_photos_get_ids_that_no_other_class_has(hqsam: Run, photos: Path) -> None:
    document = json.loads(Path("dets.json").read_text())
    found = {**document, "categories": [{"id": 3, "name": "object"}]}
    Path("found.json").write_text(json.dumps(found))
    assert hqsam("segment", photos, "--boxes", "found.json", "-o", "out", "-f", "coco").code == 0
    command = ("segment", photos / "a.jpg", "--boxes", "dets.json", "--mask-output", "hq", "-o", "out", "-f", "coco")
    assert hqsam(*command, "--redo").code == 0
    coco = json.loads(Path("out/instances.json").read_text())
    assert coco["categories"] == [{"id": 3, "name": "object"}, {"id": 4, "name": "disc"}]
    of_a = {own["category_id"] for own in coco["annotations"] if own["image_id"] == 11}
    assert of_a == {4} and {own["category_id"] for own in coco["annotations"]} == {3, 4}
    assert "1 of 1 images already done" in hqsam(*command, "--redo").err


def classes_of(out: str, name: str) -> set[str]:
    """Names of the classes of an image, which are the same in all formats."""
    coco = json.loads(Path(out, "instances.json").read_text())
    names = {own["id"]: own["name"] for own in coco["categories"]}
    assert len(names) == len(coco["categories"]) == len(set(names.values()))
    image_id = next(own["id"] for own in coco["images"] if own["file_name"] == name)
    classes = {names[own["category_id"]] for own in coco["annotations"] if own["image_id"] == image_id}
    stem = Path(name).with_suffix("")
    listed = yaml.safe_load(Path(out, "yolo-seg/data.yaml").read_text())["names"]
    lines = Path(out, f"yolo-seg/labels/{stem}.txt").read_text().splitlines()
    assert {listed[int(line.split()[0])] for line in lines} == classes
    assert {own.text for own in ElementTree.parse(Path(out, f"voc/{stem}.xml")).iterfind("object/name")} == classes
    return classes


@pytest.fixture
def bolts(photos: Path) -> Path:
    """`discs.json` and `bolts.json`, whose classes have the id of `object`."""
    document = json.loads(Path("dets.json").read_text())
    annotations = [{**own, "category_id": 1} for own in document["annotations"]]
    for name in ("disc", "bolt"):
        own = {**document, "annotations": annotations, "categories": [{"id": 1, "name": name}]}
        Path(f"{name}s.json").write_text(json.dumps(own))
    return photos


@pytest.mark.usefixtures("object_detector")
@pytest.mark.parametrize("way", WAYS)
def test_what_boxes_made_is_redone_in_every_way(hqsam: Run, bolts: Path, way: str) -> None:
    first = ("segment", bolts, "--boxes", "discs.json", "-o", "out", *FORMATS)
    assert hqsam(*first).code == 0
    again = ("segment", bolts / "a.jpg", *WAYS[way], "-o", "out", "--redo", "--score-threshold", "0.001", *FORMATS)
    redone = hqsam(*again)
    assert redone.code == 0, redone.err
    new = {"other boxes": "bolt", "typed": "disc"}.get(way, "object")
    assert classes_of("out", "a.jpg") == {new} and classes_of("out", "sub/b.png") == {"disc"}
    assert "1 of 1 images already done" in hqsam(*again).err
    assert "2 of 2 images already done" in hqsam(*first).err


@pytest.mark.usefixtures("object_detector")
@pytest.mark.parametrize("way", ["most salient", "everything", "detector"])
def test_what_was_found_is_redone_with_boxes(hqsam: Run, bolts: Path, way: str) -> None:
    first = ("segment", bolts, *WAYS[way], "-o", "out", *FORMATS)
    assert hqsam(*first).code == 0
    redone = hqsam("segment", bolts / "a.jpg", "--boxes", "bolts.json", "-o", "out", "--redo", *FORMATS)
    assert redone.code == 0, redone.err
    assert classes_of("out", "a.jpg") == {"bolt"} and classes_of("out", "sub/b.png") == {"object"}
    assert "2 of 2 images already done" in hqsam(*first).err


def test_a_class_added_to_the_run_later_gets_another_id_than_one_of_the_redone(hqsam: Run, bolts: Path) -> None:
    first = ("segment", bolts, "--boxes", "discs.json", "-o", "out", *FORMATS)
    assert hqsam(*first).code == 0
    assert hqsam("segment", bolts / "a.jpg", "--salient", "-o", "out", "--redo", *FORMATS).code == 0
    document = json.loads(Path("discs.json").read_text())
    document["categories"].append({"id": 2, "name": "nut"})
    document["annotations"][2]["category_id"] = 2
    Path("discs.json").write_text(json.dumps(document))
    continued = hqsam(*first)
    assert continued.code == 0 and "1 of 2 images already done" in continued.err, continued.err
    assert classes_of("out", "a.jpg") == {"object"} and classes_of("out", "sub/b.png") == {"disc", "nut"}


def test_boxes_of_another_detector_are_redone(hqsam: Run, photos: Path, object_detector: Path) -> None:  # noqa: F811
    Path("truth.json").write_text(json.dumps({"images": [], "annotations": [], "categories": [{"id": 1, "name": "x"}]}))
    command = ("detect", photos, *WAYS["detector"], "-o", "dets")
    assert hqsam(*command, "--format", "yolo", "--images-json", "truth.json").code == 0
    assert Path("dets/classes.txt").read_text() == "object\n"
    again = hqsam(
        "detect", photos / "a.jpg", *WAYS["detector"], "--max-det", "1", "--format", "yolo", "-o", "dets", "--redo"
    )
    assert again.code == 0, again.err
    assert Path("dets/classes.txt").read_text() == "object\n"
    assert Path("dets/a.txt").read_text().startswith("0 ")


def test_a_refusal_names_the_options_of_the_masks_not_of_the_detector(hqsam: Run, photos: Path) -> None:
    command = ("segment", photos / "a.jpg", "-o", "out", "-f", "coco")
    assert hqsam(*command).code == 0
    for more, reason in (
        ("--score-threshold 0.3", "--score-threshold was 0.1, is 0.3"),
        ("--max-det 9", "was not given, is 9"),
    ):
        refused = hqsam(*command, *more.split())
        assert refused.code == 2 and f"{reason}, made by" in refused.err, refused.err


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--overwrite",), "--redo: cannot be combined with --overwrite"),
        (("--output", "-"), "--redo: needs the output of a run"),
        (("--shard", "1/2"), "--redo: applies to a whole run; merge its shards first"),
    ],
)
def test_where_nothing_can_be_redone(hqsam: Run, photos: Path, more: tuple[str, ...], reason: str) -> None:
    refused = hqsam("segment", photos, "--boxes", "dets.json", "--redo", *more)
    assert refused.code == 2 and reason in refused.err, refused.err


def test_a_shard_is_merged_first(hqsam: Run, photos: Path) -> None:
    command = ("segment", photos, "--boxes", "dets.json", "-o", "out", "-f", "coco")
    assert hqsam(*command, "--shard", "1/2").code == 0
    refused = hqsam(*command, "--mask-output", "hq", "--redo")
    assert refused.code == 2 and "is the output of a shard; merge the shards" in refused.err, refused.err
