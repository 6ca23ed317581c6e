"""Runs whose images are elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import numpy as np
import pytest

from hqsam_cli.io.find import walk_order
from hqsam_cli.records import Instance, Prompt
from tests.batch.boxes_as_masks import BoxPredictor, run
from tests.io.files import photo, tar_of
from tests.s3_server import BUCKET, S3Server

COUNT = 12
IMAGES = {f"{'sub/' if n % 2 else ''}{n}.png": photo(20 + n) for n in range(COUNT)}


@pytest.fixture
def imgs(tmp_path: Path) -> Path:
    for name, content in IMAGES.items():
        path = tmp_path / "imgs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "imgs"


def put(system: fsspec.AbstractFileSystem, folder: str) -> None:
    for name, content in IMAGES.items():
        system.pipe_file(f"{folder}/{name}", content)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file of an output but the journal, which has times and paths."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "journal.ndjson"}


def test_results_are_those_of_a_folder(memory: fsspec.AbstractFileSystem, tmp_path: Path, imgs: Path) -> None:
    put(memory, "/bucket/imgs")
    memory.pipe_file("/bucket/0.tar", tar_of({name: IMAGES[name] for name in sorted(IMAGES, key=walk_order)}))
    run(imgs, tmp_path / "here")
    for name, address in (("there", "memory://bucket/imgs"), ("tar", "memory://bucket/0.tar")):
        run(address, tmp_path / name)
        assert files_of(tmp_path / name) == files_of(tmp_path / "here")
        again, heard = run(address, tmp_path / name)
        assert (again.done, again.already_done, heard.records) == (0, COUNT, [])


def test_an_object_that_changed_is_done_again_and_one_that_went_leaves(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, imgs: Path
) -> None:
    put(memory, "/bucket/imgs")
    run("memory://bucket/imgs", tmp_path / "out")
    memory.pipe_file("/bucket/imgs/0.png", photo(50))
    memory.pipe_file("/bucket/imgs/2.png", IMAGES["2.png"])  # touched
    memory.rm("/bucket/imgs/4.png")
    predictor = BoxPredictor()
    summary, _ = run("memory://bucket/imgs", tmp_path / "out", predictor)
    assert (summary.done, summary.already_done) == (1, COUNT - 2)
    assert not (tmp_path / "out/masks/4.png").exists() and (tmp_path / "out/masks/2.png").exists()
    # What is there and was not asked for stays.
    run("memory://bucket/imgs/sub", tmp_path / "out")
    assert (tmp_path / "out/masks/2.png").exists()


def test_a_run_outlives_its_server(s3: S3Server, tmp_path: Path, imgs: Path) -> None:
    put(fsspec.filesystem("s3"), f"{BUCKET}/imgs")
    run(imgs, tmp_path / "here")

    class Killing(BoxPredictor):
        def predict_batch(self, images: list[np.ndarray], prompts: list[list[Prompt]]) -> list[list[Instance]]:
            if len(self.groups) == 0:
                s3.killed_for(0.4)
            return super().predict_batch(images, prompts)

    summary, _ = run(f"s3://{BUCKET}/imgs", tmp_path / "out", Killing())
    assert summary.exit_code == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "here")


def test_what_a_server_does_not_give_is_named_and_the_same_command_continues(
    s3: S3Server, tmp_path: Path, imgs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hqsam_cli.io.places.PAUSES", (0.01, 0.01))
    put(fsspec.filesystem("s3"), f"{BUCKET}/imgs")
    s3.trouble = lambda _method, path: 503 if path.endswith("/2.png") else None
    summary, _ = run(f"s3://{BUCKET}/imgs", tmp_path / "out")
    assert summary.exit_code == 3 and summary.done == COUNT - 1
    (said,) = summary.failed
    assert said.startswith(f"s3://{BUCKET}/imgs/2.png: cannot be fetched") and "\n" not in said
    s3.trouble = lambda _method, _path: None
    summary, _ = run(f"s3://{BUCKET}/imgs", tmp_path / "out")
    assert (summary.exit_code, summary.done, summary.already_done) == (0, 1, COUNT - 1)
    run(imgs, tmp_path / "here")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "here")
    info = json.loads((tmp_path / "out/instances.json").read_text())
    assert len(info["images"]) == COUNT
