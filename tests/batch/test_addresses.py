"""Runs whose images or results are elsewhere."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from hqsam_cli.batch.status import read_status
from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.inference.preprocess import ResizedImage
from hqsam_cli.io.find import find_images, walk_order
from hqsam_cli.records import ImagePrompts, Instance, Prompt
from tests.batch.boxes_as_masks import BoxPredictor, TwoBoxes, run
from tests.batch.remote_images import COUNT, IMAGES, files_of, put
from tests.io.files import photo, tar_of
from tests.s3_server import BUCKET, S3Server


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
        def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
            if len(self.groups) == 0:
                s3.killed_for(0.4)
            return super().predict_batch(images, prompts)

    summary, _ = run(f"s3://{BUCKET}/imgs", tmp_path / "out", Killing())
    assert summary.exit_code == 0
    assert files_of(tmp_path / "out") == files_of(tmp_path / "here")


def test_what_a_server_does_not_give_is_named_and_the_same_command_continues(
    s3: S3Server, tmp_path: Path, imgs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hqsam_cli.io.addresses.RETRY_DELAYS", (0.01, 0.01))
    put(fsspec.filesystem("s3"), f"{BUCKET}/imgs")
    s3.trouble = lambda _method, path: 503 if path.endswith("/2.png") else None
    summary, _ = run(f"s3://{BUCKET}/imgs", tmp_path / "out")
    assert summary.exit_code == 3 and summary.done == COUNT - 1
    (said,) = summary.failed
    assert said.startswith(f"s3://{BUCKET}/imgs/2.png: cannot be downloaded") and "\n" not in said
    s3.trouble = lambda _method, _path: None
    summary, _ = run(f"s3://{BUCKET}/imgs", tmp_path / "out")
    assert (summary.exit_code, summary.done, summary.already_done) == (0, 1, COUNT - 1)
    run(imgs, tmp_path / "here")
    assert files_of(tmp_path / "out") == files_of(tmp_path / "here")
    s3.asked.clear()
    assert run(f"s3://{BUCKET}/imgs", tmp_path / "out")[0].already_done == COUNT
    assert not [path for _, path in s3.asked if "/imgs/" in path]  # the listing says enough
    info = json.loads((tmp_path / "out/instances.json").read_text())
    assert len(info["images"]) == COUNT


def objects_of(system: fsspec.AbstractFileSystem, folder: str) -> dict[str, bytes]:
    """Every object of an output but those of the journal."""
    system.invalidate_cache()
    names = [name for name in system.find(folder) if "/journal/" not in name]
    return {name.partition(f"{folder}/")[2]: system.cat_file(name) for name in names}


def journal_of(system: fsspec.AbstractFileSystem, folder: str) -> list[str]:
    system.invalidate_cache()
    return [name.rpartition("/")[2] for name in system.find(f"{folder}/journal")]


FORMATS = frozenset({"coco", "ndjson", "png", "idmap", "voc", "crop"})


def test_results_at_an_address_are_those_in_a_folder(s3: S3Server, tmp_path: Path, imgs: Path) -> None:
    run(imgs, tmp_path / "here", formats=FORMATS)
    system = fsspec.filesystem("s3")
    out = f"s3://{BUCKET}/deep/out"
    first, _ = run(imgs, out, formats=FORMATS)
    assert first.exit_code == 0 and first.files[0] == f"{out}/instances.json"
    assert objects_of(system, f"{BUCKET}/deep/out") == files_of(tmp_path / "here")
    assert len(journal_of(system, f"{BUCKET}/deep/out")) == 1
    assert read_status(out).state == "finished" and read_status(out).done == COUNT
    second, _ = run(imgs, out, formats=FORMATS)
    assert (second.done, second.already_done) == (0, COUNT)

    system.rm(f"{BUCKET}/deep/out/masks/2.png/{system.ls(f'{BUCKET}/deep/out/masks/2.png')[0].rpartition('/')[2]}")
    system.rm(f"{BUCKET}/deep/out/idmaps/4.png.png")
    (imgs / "6.png").unlink()
    (imgs / "8.png").write_bytes(b"broken")
    third, _ = run(imgs, out, formats=FORMATS)
    assert (third.done, third.already_done, len(third.failed)) == (2, COUNT - 4, 1)
    run(imgs, tmp_path / "here", formats=FORMATS)
    assert objects_of(system, f"{BUCKET}/deep/out") == files_of(tmp_path / "here")


def test_masks_that_are_no_more_leave_and_what_is_not_ours_stays(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, imgs: Path
) -> None:
    class OneBox(TwoBoxes):
        def for_image(self, file_name: str) -> ImagePrompts:
            found = super().for_image(file_name)
            return replace(found, prompts=found.prompts[:1])

    (imgs / "0.png").rename(imgs / "a [1-9]*.png")
    run(imgs, "memory://bucket/out")
    memory.pipe_file("/bucket/out/masks/2.png/note.txt", b"ours")
    run(imgs, "memory://bucket/out", prompts=OneBox())
    assert len(memory.ls("/bucket/out/masks/a [1-9]*.png")) == 1 and len(memory.ls("/bucket/out/masks/2.png")) == 2
    again, _ = run(imgs, "memory://bucket/out", prompts=OneBox())
    assert again.done == 0


def test_labels_of_others_stay_and_those_of_photos_that_are_gone_go(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, imgs: Path
) -> None:
    def labels() -> set[str]:
        return {name.removeprefix("/bucket/out/voc/") for name in memory.find("/bucket/out/voc")}

    voc = frozenset({"voc"})
    (imgs / "0.jpg").write_bytes((imgs / "0.png").read_bytes())  # which wants the name of the label of 0.png
    run(imgs, "memory://bucket/out", formats=voc)
    memory.pipe_file("/bucket/out/voc/mine.xml", b"mine")
    memory.pipe_file("/bucket/out/voc/new.xml", b"mine")
    before = labels()
    assert {"0.xml", "0.png.xml", "2.xml", "sub/1.xml"} < before and len(before) == COUNT + 3
    (imgs / "new.png").write_bytes(b"broken")
    (imgs / "sub" / "1.png").write_bytes(photo(70))
    for name in ("new.png", "sub/1.png"):
        (tmp_path / "some" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "some" / name).write_bytes((imgs / name).read_bytes())
    assert run(tmp_path / "some", "memory://bucket/out", formats=voc)[0].done == 1
    assert labels() == before and b"<width>140<" in memory.cat_file("/bucket/out/voc/sub/1.xml")

    (imgs / "0.jpg").unlink()
    (imgs / "4.png").unlink()
    (imgs / "6.png").write_bytes(b"broken")
    run(imgs, "memory://bucket/out", formats=voc)
    assert before - labels() == {"0.xml", "4.xml", "6.xml"}
    assert b"<filename>0.png</filename>" in memory.cat_file("/bucket/out/voc/0.png.xml")
    assert {memory.cat_file(f"/bucket/out/voc/{name}.xml") for name in ("mine", "new")} == {b"mine"}
    run(imgs, "memory://bucket/out", formats=voc, overwrite=True)
    assert memory.cat_file("/bucket/out/voc/mine.xml") == b"mine"


def test_other_runs_and_other_peoples_objects_are_refused(
    memory: fsspec.AbstractFileSystem, tmp_path: Path, imgs: Path
) -> None:
    memory.pipe_file("/bucket/out/masks/0.png/1.png", b"somebody's")
    with pytest.raises(
        UsageError, match=r"memory://bucket/out/masks/0.png/1.png: already exists, and was not written by hqsam"
    ):
        run(imgs, "memory://bucket/out")
    assert run(imgs, "memory://bucket/out", overwrite=True)[0].exit_code == 0
    with pytest.raises(UsageError, match="memory://bucket/out contains results of another run"):
        run(imgs, "memory://bucket/out", identity={"model": "other", "mask_output": "sum"})
    assert run(imgs, "memory://bucket/out", overwrite=True)[0].done == COUNT
    assert len(journal_of(memory, "/bucket/out")) == 1


def test_two_runs_do_not_go_on_beside_each_other(s3: S3Server, tmp_path: Path, imgs: Path) -> None:
    out = f"s3://{BUCKET}/out"

    class Meanwhile(BoxPredictor):
        def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
            if not self.groups:
                next_one = f"{BUCKET}/out/journal/{len(journal_of(system, f'{BUCKET}/out')):09d}.ndjson"
                system.pipe_file(next_one, b'{"outcome": "finished"}\n')
            return super().predict_batch(images, prompts)

    system = fsspec.filesystem("s3")
    with pytest.raises(HqsamError, match=f"{out}/journal: another run is writing here"):
        run(imgs, out, Meanwhile())
    assert run(imgs, out)[0].exit_code == 0


@pytest.mark.parametrize("objects", [3, 6])
def test_a_killed_run_continues_to_the_same_objects(s3: S3Server, tmp_path: Path, imgs: Path, objects: int) -> None:
    system = fsspec.filesystem("s3")
    program = Path(__file__).with_name("boxes_as_masks.py")
    run(imgs, tmp_path / "here")
    killed = subprocess.Popen(
        [sys.executable, program, imgs, f"s3://{BUCKET}/out", "0.4", "0"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    try:
        while len(journal_of(system, f"{BUCKET}/out")) < objects:
            assert killed.poll() is None
            time.sleep(0.01)
        killed.send_signal(signal.SIGSTOP)  # so that it is at it, however slow this machine is
        with pytest.raises(HqsamError, match=rf"another run is writing here \(process {killed.pid}\)"):
            run(imgs, f"s3://{BUCKET}/out", overwrite=objects == 3)
    finally:
        killed.kill()
        killed.wait()
    assert read_status(f"s3://{BUCKET}/out").state == "killed"
    summary, _ = run(imgs, f"s3://{BUCKET}/out")
    assert summary.exit_code == 0 and summary.already_done >= 2 * (objects - 2)
    assert objects_of(system, f"{BUCKET}/out") == files_of(tmp_path / "here")


def test_a_run_outlives_the_server_it_writes_to(s3: S3Server, tmp_path: Path, imgs: Path) -> None:
    troubles = itertools.count()
    s3.trouble = lambda method, path: 503 if method == "PUT" and "/out" in path and next(troubles) % 7 == 0 else None
    run(imgs, tmp_path / "here")
    summary, _ = run(imgs, f"s3://{BUCKET}/out")
    assert summary.exit_code == 0
    assert objects_of(fsspec.filesystem("s3"), f"{BUCKET}/out") == files_of(tmp_path / "here")


def test_a_server_that_takes_nothing_ends_the_run_which_continues(
    s3: S3Server, tmp_path: Path, imgs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hqsam_cli.io.addresses.RETRY_DELAYS", (0.01,))
    s3.trouble = lambda method, path: 503 if method == "PUT" and "masks/4.png" in path else None
    with pytest.raises(
        HqsamError, match=r"s3://bucket/out/masks/4\.png/\d+\.png: cannot be written .*; fix that and run the same"
    ):
        run(imgs, f"s3://{BUCKET}/out")
    s3.trouble = lambda _method, _path: None
    summary, _ = run(imgs, f"s3://{BUCKET}/out")
    assert summary.exit_code == 0 and summary.already_done > 0
    run(imgs, tmp_path / "here")
    assert objects_of(fsspec.filesystem("s3"), f"{BUCKET}/out") == files_of(tmp_path / "here")


def test_the_journal_may_be_in_a_folder_here(memory: fsspec.AbstractFileSystem, tmp_path: Path, imgs: Path) -> None:
    journal = tmp_path / "notes/journal.ndjson"
    assert run(imgs, "memory://bucket/out", journal=journal)[0].done == COUNT
    assert journal_of(memory, "/bucket/out") == [] and read_status(tmp_path / "notes").done == COUNT
    assert run(imgs, "memory://bucket/out", journal=journal)[0].done == 0


def test_outputs_at_an_address_are_no_inputs(memory: fsspec.AbstractFileSystem, tmp_path: Path, imgs: Path) -> None:
    put(memory, "/bucket/imgs")
    run("memory://bucket/imgs", "memory://bucket/imgs")
    found = find_images(["memory://bucket/imgs"])
    assert len(found.images) == COUNT and len(found.passed) == 2 * COUNT
