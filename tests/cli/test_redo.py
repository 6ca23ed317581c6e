"""`hqsam segment --redo` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


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
