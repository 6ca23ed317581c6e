"""Commands whose images and boxes are at addresses or in tars."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
import typer

from hqsam_cli.cli.app import app
from tests.cli.conftest import Run
from tests.http_server import HttpServer
from tests.io.files import tar_of


def in_bucket(memory: fsspec.AbstractFileSystem, photos: Path) -> None:
    for path in [*photos.rglob("*.*"), photos.parent / "dets.json"]:
        memory.pipe_file(f"/bucket/{path.relative_to(photos.parent)}", path.read_bytes())


def files_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_images_and_boxes_at_addresses_make_the_masks_of_files(
    hqsam: Run, photos: Path, memory: fsspec.AbstractFileSystem
) -> None:
    in_bucket(memory, photos)
    assert hqsam("segment", photos, "--boxes", "dets.json", "-o", "here").code == 0
    command = ("segment", "memory://bucket/imgs", "--boxes", "memory://bucket/dets.json", "-o", "there")
    assert hqsam(*command).code == 0
    here, there = (json.loads(Path(name, "instances.json").read_text()) for name in ("here", "there"))
    assert here["annotations"] == there["annotations"] and here["images"] == there["images"]
    assert "2 already done" in hqsam(*command).err


def test_a_folder_of_labels_may_be_at_an_address(hqsam: Run, photos: Path, memory: fsspec.AbstractFileSystem) -> None:
    memory.pipe_file("/bucket/set/labels/a.txt", b"1 0.5 0.5 0.4 0.5\n")
    memory.pipe_file("/bucket/set/labels/sub/b.txt", b"0 0.5 0.5 0.4 0.5\n0 0.4 0.4 0.2 0.2\n")
    memory.pipe_file("/bucket/set/classes.txt", b"disc\nring\n")
    ended = hqsam("segment", photos, "--boxes", "memory://bucket/set", "-f", "ndjson", "-o", "-")
    assert ended.code == 0 and "memory://bucket/set: YOLO labels; images: 2, boxes: 3" in ended.err
    assert [[a["category_id"] for a in line["annotations"]] for line in ended.lines] == [[2], [1, 1]]
    none = hqsam("segment", photos, "--boxes", "memory://bucket/none", "-o", "-")
    assert none.code == 1 and "memory://bucket/none: contains no labels" in none.err


def test_boxes_beside_images_in_a_tar_are_their_prompts(hqsam: Run, photos: Path) -> None:
    a, b = (photos / "a.jpg").read_bytes(), (photos / "sub/b.png").read_bytes()
    line = {"annotations": [{"bbox": [55, 25, 70, 70], "category": "disc"}, {"bbox": [0, 0, 160, 120]}]}
    boxes = {"a.json": b'[{"bbox": [25, 25, 70, 70]}]', "sub/b.json": json.dumps(line).encode()}
    Path("0.tar").write_bytes(tar_of({"a.jpg": a, "sub/b.png": b, **boxes}))
    ended = hqsam("segment", "0.tar", "-f", "ndjson", "-o", "-")
    assert ended.code == 0 and "JSON beside images; images: 2, boxes: 3" in ended.err
    assert [(line["file_name"], len(line["annotations"])) for line in ended.lines] == [("a.jpg", 1), ("sub/b.png", 2)]
    assert hqsam("segment", "0.tar", "--salient", "-o", "-").lines[1]["annotations"][1:] == []
    Path("1.tar").write_bytes(tar_of({"a.jpg": a, "a.json": b'{"caption": "a disc"}'}))
    assert "the detector object" in hqsam("segment", "1.tar", "--dry-run").err


def test_a_broken_tar_is_a_failure_and_the_rest_is_done(hqsam: Run, photos: Path) -> None:
    Path("0.tar").write_bytes(tar_of({"a.jpg": (photos / "a.jpg").read_bytes(), "b.jpg": b"x" * 5000})[:-9000])
    for command in (("segment", "0.tar", "--salient", "-o", "out"), ("detect", "0.tar", "-o", "dets2.json")):
        ended = hqsam(*command)
        assert ended.code == 3 and "hqsam: failed: 0.tar: broken tar" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["memory://bucket/none", "--salient"], 4, "no image in memory://bucket/none"),
        (["nobody://host/imgs", "--salient"], 2, "nobody://host/imgs: URL not supported by fsspec"),
        (["imgs", "--boxes", "memory://bucket/none.json"], 1, "memory://bucket/none.json: no such file"),
        (["memory://bucket/imgs", "--salient", "-f", "yolo-seg"], 2, "yolo-seg needs local image files"),
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


def test_results_at_an_address_are_those_in_a_folder(
    hqsam: Run, photos: Path, memory: fsspec.AbstractFileSystem
) -> None:
    command = ("segment", photos, "--boxes", "dets.json", "-f", "coco", "-f", "png", "--overlay")
    assert hqsam(*command, "-o", "here").code == 0
    ended = hqsam(*command, "-o", "memory://bucket/out")
    assert ended.code == 0 and "wrote memory://bucket/out/instances.json" in ended.err
    for path in (path for path in Path("here").rglob("*.*") if path.is_file() and "json" not in path.name):
        assert memory.cat_file(f"/bucket/out/{path.relative_to('here')}") == path.read_bytes()
    there = json.loads(memory.cat_file("/bucket/out/instances.json"))
    assert there["annotations"] == json.loads(Path("here/instances.json").read_text())["annotations"]
    assert "2 already done" in hqsam(*command, "-o", "memory://bucket/out").err
    assert "finished" in hqsam("status", "memory://bucket/out").out
    assert "left     0" in hqsam(*command, "-o", "memory://bucket/out", "--dry-run").out

    memory.rm("/bucket/out/journal", recursive=True)
    refused = hqsam(*command, "-o", "memory://bucket/out")
    assert (
        refused.code == 2
        and "memory://bucket/out/instances.json: already exists, and was not written by hqsam" in refused.err
    )
    assert hqsam(*command, "-o", "memory://bucket/out", "--overwrite", "--journal", "notes").code == 0
    assert Path("notes/journal.ndjson").is_file() and not memory.exists("/bucket/out/journal")
    assert "2 already done" in hqsam(*command, "-o", "memory://bucket/out", "--journal", "notes").err
    other = hqsam(*command, "-o", "memory://bucket/other", "--journal", "notes")
    assert other.code == 2 and "--output was memory://bucket/out, is memory://bucket/other" in other.err


def test_addresses_of_files_are_addresses(hqsam: Run, photos: Path, tmp_path: Path) -> None:
    there = f"file://{tmp_path}/new/out"
    command = ("segment", f"file://{photos}", "--boxes", f"file://{tmp_path}/dets.json", "-o", there)
    assert hqsam(*command).code == 0
    assert "2 already done" in hqsam(*command).err
    assert len(json.loads((tmp_path / "new/out/instances.json").read_text())["images"]) == 2
    assert sum(path.is_file() for path in (tmp_path / "new/out/masks").rglob("*.png")) == 3


@pytest.mark.parametrize(
    ("output", "form", "journal"),
    [
        ("memory://bucket/d/dets.json", "coco", "d/dets.json.journal"),
        ("memory://bucket/d/labels", "yolo", "d/labels/journal"),
    ],
)
def test_boxes_go_to_an_address(
    hqsam: Run, photos: Path, memory: fsspec.AbstractFileSystem, output: str, form: str, journal: str
) -> None:
    here = Path("here", output.rpartition("/")[2])
    assert hqsam("detect", photos, "--score-threshold", "0.01", "-f", form, "-o", here).code == 0
    assert hqsam("detect", photos, "--score-threshold", "0.01", "-f", form, "-o", output).code == 0
    assert len(memory.ls(f"/bucket/{journal}")) == 1
    files = [here] if here.is_file() else [path for path in here.rglob("*.txt")]
    assert files
    for path in files:
        own, other = path.read_text(), memory.cat_file(f"/bucket/d/{path.relative_to('here')}").decode()
        assert own.partition('"images"')[2] == other.partition('"images"')[2] if form == "coco" else own == other
    assert "2 already done" in hqsam("detect", photos, "--score-threshold", "0.01", "-f", form, "-o", output).err
    assert "finished" in hqsam("status", output).out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-o", "memory://bucket/out", "-f", "labelme"], "labelme stores relative image paths"),
        (["-o", "memory://bucket/out", "-f", "yolo-seg"], "yolo-seg stores relative image paths"),
        (["-o", "out", "--journal", "notes"], "--journal notes: applies to an output at a URL only"),
        (["-o", "nobody://out"], "URL not supported by fsspec"),
    ],
)
def test_outputs_that_cannot_be_are_one_line(hqsam: Run, photos: Path, arguments: list[str], said: str) -> None:
    ended = hqsam("segment", photos, "--salient", *arguments)
    assert (ended.code, ended.err.count("\n")) == (2, 1) and said in ended.err


def test_a_server_that_takes_nothing_is_one_line(hqsam: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hqsam_cli.io.addresses.RETRY_DELAYS", (0.01,))
    ended = hqsam("segment", photos, "--salient", "-o", "http://127.0.0.1:1/out")
    assert (ended.code, ended.err.count("\n")) == (1, 1) and "http://127.0.0.1:1/out" in ended.err


NOWHERE = "memory://bucket/nowhere"
TAKEN = {  # by commands, beside what takes a number or one of some words
    "segment": {"inputs", "boxes", "points", "coarse_masks", "images_json", "output", "address"},
    "detect": {"inputs", "images_json", "output"},
    "show": {"inputs", "boxes"},
    "bench": {"inputs"},
    "status": {"output"},
    "merge": {"output", "shards"},
    "results merge": {"sets", "output"},
    "results filter": {"given", "output"},
    "results split": {"given", "output"},
    "results stats": {"given"},
    "results convert": {"given", "output"},
}


def commands(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
    for own, subcommand in getattr(command, "commands", {}).items():
        yield from commands(subcommand, f"{name} {own}".strip())


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("command", COMMANDS)
def test_an_address_is_never_a_path_of_this_machine(
    hqsam: Run, memory: fsspec.AbstractFileSystem, tmp_path: Path, command: str
) -> None:
    memory.pipe_file("/bucket/there", b"")
    for about in (param for param in COMMANDS[command].params if not getattr(param, "is_flag", False)):
        given: list[str] = []
        for param in COMMANDS[command].params:
            if param is about or param.required:
                value = NOWHERE if param is about else {"form": "coco", "parts": "a=1"}.get(param.name, "none.pt")
                flag = [] if param.param_type_name == "argument" else [param.opts[0]]
                given += [*flag, *(["3"] if param.nargs == 2 else []), value]
        ended = hqsam(*command.split(), *given)
        takes_it = about.name in TAKEN.get(command, ())
        assert ended.code in ((1, 2, 4) if takes_it else (2,)), (given, ended)
        is_refused = f"{NOWHERE}: a URL, which is not supported here; pass a local path" in ended.err
        is_no_word = any(text in ended.err for text in ("must be", "is not one of", "valid"))
        assert (takes_it or is_refused or is_no_word) and ended.err.count("\n") == 1, (given, ended)
        assert list(tmp_path.iterdir()) == []


def test_results_are_read_from_addresses_and_written_to_them(
    hqsam: Run, photos: Path, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    out = "memory://bucket/out"
    assert hqsam("segment", photos, "--boxes", "dets.json", "-f", "coco", "-f", "ndjson", "-o", out).code == 0
    memory.get("/bucket/out", str(tmp_path / "copy"), recursive=True)
    copy, there = (hqsam("status", place).out.splitlines() for place in ("copy", out))
    assert [line for line in copy if "rate" not in line] == [line for line in there if "rate" not in line]
    for source in (out, f"{out}/instances.json", f"{out}/instances.ndjson"):
        local = source.replace(out, "copy")
        assert hqsam("results", "stats", source).out == hqsam("results", "stats", local).out != ""
    pairs = [
        (("merge", "{}", "{}/instances.ndjson"), "all.json"),
        (("filter", "{}", "--score-threshold", "0.1"), "sure.json"),
        (("convert", "{}", "--format", "ndjson"), "lines.ndjson"),
        (("convert", "{}", "--format", "results"), "list.json"),
    ]
    for command, name in pairs:
        here = [text.format("copy") for text in command]
        there = [text.format(out) for text in command]
        assert hqsam("results", *here, "-o", name).code == 0
        ended = hqsam("results", *there, "-o", f"memory://bucket/made/{name}")
        assert ended.code == 0 and f"wrote memory://bucket/made/{name}" in ended.err
        made, other = Path(name).read_text(), memory.cat_file(f"/bucket/made/{name}").decode()
        assert made.partition('"images"')[2] == other.partition('"images"')[2]
        refused = hqsam("results", *there, "-o", f"memory://bucket/made/{name}")
        assert refused.code == 2 and f"memory://bucket/made/{name}: already exists; pass --overwrite" in refused.err
        assert hqsam("results", *there, "-o", f"memory://bucket/made/{name}", "--overwrite").code == 0
    split = ("results", "split", out, "--parts", "a=0.5,b=0.5", "-o", "memory://bucket/parts")
    assert hqsam(*split).code == 0 and len(memory.ls("/bucket/parts")) == 2
    refused = hqsam("results", "convert", out, "-f", "voc", "--images", photos, "-o", "memory://bucket/voc")
    assert refused.code == 2 and "a URL, which is not supported for voc" in refused.err
    refused = hqsam("results", "filter", out, "--score-threshold", "0.1", "-o", out)
    assert refused.code == 2 and "memory://bucket/out: is a folder" in refused.err
    memory.pipe_file("/bucket/odd.json", b'{"images": [{"id": 1}]}')
    told = hqsam("results", "stats", "memory://bucket/odd.json").err
    assert "memory://bucket/odd.json: images without an id or a file_name, left out: 1 (entry 1)" in told
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("memory")]


def test_a_run_at_an_address_and_a_copy_of_it_are_drawn_and_reported(
    hqsam: Run, photos: Path, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    out = "memory://bucket/out"
    assert hqsam("segment", photos, "--boxes", "dets.json", "-f", "png", "-o", out).code == 0
    assert not memory.exists("/bucket/out/instances.json")
    assert hqsam("show", out, "-o", "drawn").code == 0
    memory.get("/bucket/out", str(tmp_path / "copy"), recursive=True)
    assert hqsam("show", "copy", "-o", "again").code == 0
    for name in ("a.jpg", "sub/b.jpg"):
        assert Path("drawn", name).read_bytes() == Path("again", name).read_bytes()
    assert hqsam("report", "copy").code == 0
    assert len(Path("copy/report/instances.csv").read_text().splitlines()) == 4
    shutil.rmtree("copy/journal")
    assert "has no instances.json, instances.ndjson or journal.ndjson" in hqsam("report", "copy").err


def test_a_page_of_photos_at_an_address_has_them(hqsam: Run, photos: Path, memory: fsspec.AbstractFileSystem) -> None:
    in_bucket(memory, photos)
    assert hqsam("segment", "memory://bucket/imgs", "--boxes", "dets.json", "-o", "here").code == 0
    assert hqsam("report", "here").code == 0
    assert sorted(path.name for path in Path("here/report/photos").iterdir()) == ["0.jpg", "1.jpg"]


def test_a_folder_that_a_server_does_not_list_is_a_failure_and_the_rest_is_done(
    hqsam: Run, photos: Path, http: HttpServer
) -> None:
    shutil.copytree(photos, "www/imgs")
    command = ("segment", f"{http.address}/imgs", "--salient", "-o", "out")
    assert hqsam(*command).code == 0
    masks = files_of(Path("out/masks"))
    http.trouble = lambda path: 403 if path.endswith("/sub/") else None
    ended = hqsam(*command)
    assert ended.code == 3 and f"failed: {http.address}/imgs/sub/: cannot be listed (403" in ended.err
    http.trouble = lambda path: 503 if path.endswith("/sub/") else None
    ended = hqsam(*command)
    assert ended.code == 1 and f"error: {http.address}/imgs/sub/: cannot be listed (503" in ended.err
    http.stop()
    ended = hqsam(*command)
    assert (ended.code, ended.err.count("\n")) == (1, 1) and "/imgs: cannot be listed" in ended.err
    assert files_of(Path("out/masks")) == masks and len(masks) == 2
