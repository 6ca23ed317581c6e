"""A run on a Ray cluster of this machine, whose workers are killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.batch.job import Job, Summary
from hqsam_cli.batch.pipeline import make_worker, run_images
from hqsam_cli.batch.ray_engine import RayEngine
from hqsam_cli.batch.steps import Segment
from hqsam_cli.batch.work import Worker
from hqsam_cli.errors import HqsamError
from hqsam_cli.records import Instance, Prompt
from tests.batch.boxes_as_masks import BoxPredictor, Heard, TwoBoxes, make_job, run

ray = pytest.importorskip("ray", reason="there is no Ray here: pip install 'hqsam-cli[ray]'")
IDENTITY = {"model": "box", "mask_output": "sum"}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, object_store_memory=10**8)
    yield
    ray.shutdown()


@pytest.fixture
def images(tmp_path: Path) -> Path:
    (tmp_path / "imgs" / "sub").mkdir(parents=True)
    for number in range(9):
        name = f"sub/{number}.png" if number % 2 else f"{number}.jpg"
        Image.new("RGB", (40, 30), (0, 20 * number, 90)).save(tmp_path / "imgs" / name)
    Image.new("RGB", (40, 30), (255, 0, 0)).save(tmp_path / "imgs" / "red.png")
    (tmp_path / "imgs" / "bad.jpg").write_bytes(b"")
    return tmp_path / "imgs"


class DyingPredictor(BoxPredictor):
    """Dies with its process on the first image that it ever sees."""

    def __init__(self, mark: Path) -> None:
        super().__init__()
        self.mark = mark

    def predict_batch(self, images: list[np.ndarray], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        try:
            self.mark.touch(exist_ok=False)
        except FileExistsError:
            return super().predict_batch(images, prompts)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def build(job: Job, predictor: BoxPredictor) -> Worker:
    return make_worker(job, Segment(predictor, TwoBoxes.categories))


def build_nothing(_job: Job, _predictor: BoxPredictor) -> Worker:
    raise HqsamError("no model", file="model.pth", remedy="fetch it")


def run_on_ray(
    images: Path, output: Path | None, predictor: BoxPredictor | None = None, how: Any = build, **changes: Any
) -> tuple[Summary, Heard]:
    job = make_job(images, output, TwoBoxes(), **{"identity": IDENTITY, **changes})
    make = partial(how, job.without_images(), predictor or BoxPredictor())
    heard = Heard()
    return run_images(job, RayEngine(make, None, 1, on_gpu=False), heard), heard


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "journal.ndjson")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_bytes_are_those_of_this_process(images: Path, tmp_path: Path) -> None:
    formats = frozenset({"coco", "png", "idmap", "ndjson"})
    here, _ = run(images, tmp_path / "here", formats=formats)
    there, heard = run_on_ray(images, tmp_path / "there", formats=formats)
    assert (there.exit_code, there.done, there.masks) == (here.exit_code, here.done, here.masks) == (3, 9, 18)
    assert sorted(there.failed) == sorted(here.failed) and len(heard.records) == 11
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    again, _ = run_on_ray(images, tmp_path / "there", formats=formats)
    assert (again.already_done, again.failed_before, again.done) == (9, 2, 0)


def test_an_actor_that_dies_is_replaced(images: Path, tmp_path: Path) -> None:
    run(images, tmp_path / "here")
    summary, _ = run_on_ray(images, tmp_path / "there", DyingPredictor(tmp_path / "mark"))
    assert (tmp_path / "mark").exists() and summary.done == 9
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_what_is_wrong_with_a_model_is_said_once(images: Path, tmp_path: Path) -> None:
    with pytest.raises(HqsamError, match=r"^model.pth: no model; fetch it$"):
        run_on_ray(images, tmp_path / "out", how=build_nothing)


def test_too_many_failures_stop_it(images: Path, tmp_path: Path) -> None:
    for number in range(20):
        (images / f"bad{number:02d}.jpg").write_bytes(b"")
    summary, _ = run_on_ray(images, tmp_path / "out", max_errors=3, batch_size=1)
    assert summary.exit_code == 1 and summary.done + len(summary.failed) < 31
    assert run_on_ray(images, tmp_path / "out")[0].exit_code == 3
    run(images, tmp_path / "here")
    assert contents(tmp_path / "out") == contents(tmp_path / "here")
