"""Commands whose images and boxes are at addresses or in tars."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from tests.cli.conftest import Run
from tests.io.files import tar_of


def in_bucket(memory: fsspec.AbstractFileSystem, photos: Path) -> None:
    for path in [*photos.rglob("*.*"), photos.parent / "dets.json"]:
        memory.pipe_file(f"/bucket/{path.relative_to(photos.parent)}", path.read_bytes())


def test_images_and_boxes_at_addresses_make_the_masks_of_files(
    hqsam: Run, photos: Path, memory: fsspec.AbstractFileSystem
) -> None:
    in_bucket(memory, photos)
    assert hqsam("segment", photos, "--boxes", "dets.json", "-o", "here").code == 0
    command = ("segment", "memory://bucket/imgs", "--boxes", "memory://bucket/dets.json", "-o", "there")
    assert hqsam(*command).code == 0
    here, there = (json.loads(Path(name, "instances.json").read_text()) for name in ("here", "there"))
    assert here["annotations"] == there["annotations"] and here["images"] == there["images"]
    assert "2 done before" in hqsam(*command).err


def test_boxes_beside_images_in_a_tar_are_their_prompts(hqsam: Run, photos: Path) -> None:
    a, b = (photos / "a.jpg").read_bytes(), (photos / "sub/b.png").read_bytes()
    line = {"annotations": [{"bbox": [55, 25, 70, 70], "category": "disc"}, {"bbox": [0, 0, 160, 120]}]}
    boxes = {"a.json": b'[{"bbox": [25, 25, 70, 70]}]', "sub/b.json": json.dumps(line).encode()}
    Path("0.tar").write_bytes(tar_of({"a.jpg": a, "sub/b.png": b, **boxes}))
    ended = hqsam("segment", "0.tar", "-f", "ndjson", "-o", "-")
    assert ended.code == 0 and "JSON beside images; images: 2, boxes: 3" in ended.err
    assert [(line["file_name"], len(line["annotations"])) for line in ended.lines] == [("a.jpg", 1), ("sub/b.png", 2)]
    assert hqsam("segment", "0.tar", "--frame", "-o", "-").lines[1]["annotations"][1:] == []
    Path("1.tar").write_bytes(tar_of({"a.jpg": a, "a.json": b'{"caption": "a disc"}'}))
    assert "the detector object" in hqsam("segment", "1.tar", "--dry-run").err


def test_a_broken_tar_is_a_failure_and_the_rest_is_done(hqsam: Run, photos: Path) -> None:
    Path("0.tar").write_bytes(tar_of({"a.jpg": (photos / "a.jpg").read_bytes(), "b.jpg": b"x" * 5000})[:-9000])
    for command in (("segment", "0.tar", "--frame", "-o", "out"), ("detect", "0.tar", "-o", "dets2.json")):
        ended = hqsam(*command)
        assert ended.code == 3 and "hqsam: failed: 0.tar: broken tar" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["memory://bucket/none", "--frame"], 4, "no image in memory://bucket/none"),
        (["nobody://host/imgs", "--frame"], 2, "nobody://host/imgs: no address that fsspec knows"),
        (["imgs", "--boxes", "memory://bucket/none.json"], 1, "memory://bucket/none.json: no such file"),
        (["memory://bucket/imgs", "--frame", "-f", "yolo-seg"], 2, "yolo-seg links to images"),
    ],
)
def test_mistakes_are_one_line(
    hqsam: Run, photos: Path, memory: fsspec.AbstractFileSystem, arguments: list[str], code: int, said: str
) -> None:
    in_bucket(memory, photos)
    ended = hqsam("segment", *arguments)
    assert (ended.code, ended.err.count("\n")) == (code, 1) and said in ended.err


def test_fsspec_is_imported_for_addresses_alone() -> None:
    script = "import sys, hqsam_cli.io.find as f; f.find_images(['.']); sys.exit('fsspec' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
