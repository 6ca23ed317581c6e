"""A run on a Ray cluster of this machine, whose workers are killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from hqsam_cli.batch.job import Summary
from hqsam_cli.batch.ray_engine import RayEngine
from hqsam_cli.errors import HqsamError
from tests.batch.boxes_as_masks import BoxPredictor, Heard, TwoBoxes, make_job, run, run_engine
from tests.batch.other_processes import IDENTITY, DyingPredictor, KilledPredictor, build, build_nothing, contents

ray = pytest.importorskip("ray", reason="there is no Ray here: pip install 'hqsam-cli[ray]'")

TO_STDOUT = """
import sys
from functools import partial
from hqsam_cli.batch.ray_engine import RayEngine
from tests.batch.boxes_as_masks import Heard, TwoBoxes, make_job, run_engine
from tests.batch.other_processes import KilledPredictor, build

job = make_job(sys.argv[1], None, TwoBoxes(), stream=sys.stdout.buffer)
engine = RayEngine(partial(build, job.without_images(), KilledPredictor()), "local", 1, 9, on_gpu=False)
sys.exit(run_engine(job, job.outputs(), engine, Heard()).exit_code)
"""


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False, object_store_memory=10**8)
    yield
    ray.shutdown()


def run_on_ray(
    images: Path, output: Path | None, predictor: BoxPredictor | None = None, how: Any = build, **changes: Any
) -> tuple[Summary, Heard]:
    job = make_job(images, output, TwoBoxes(), **{"identity": IDENTITY, **changes})
    make = partial(how, job.without_images(), predictor or BoxPredictor())
    heard = Heard()
    return run_engine(job, job.outputs(), RayEngine(make, None, 1, len(job.images), on_gpu=False), heard), heard


def test_the_bytes_are_those_of_this_process(mixed_images: Path, tmp_path: Path) -> None:
    formats = frozenset({"coco", "png", "idmap", "ndjson"})
    here, _ = run(mixed_images, tmp_path / "here", formats=formats)
    there, heard = run_on_ray(mixed_images, tmp_path / "there", formats=formats)
    assert (there.exit_code, there.done, there.masks) == (here.exit_code, here.done, here.masks) == (3, 9, 18)
    assert sorted(there.failed) == sorted(here.failed) and len(heard.records) == 11
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    again, _ = run_on_ray(mixed_images, tmp_path / "there", formats=formats)
    assert (again.already_done, again.failed_before, again.done) == (9, 2, 0)


def test_an_actor_that_dies_is_replaced(mixed_images: Path, tmp_path: Path) -> None:
    run(mixed_images, tmp_path / "here")
    summary, _ = run_on_ray(mixed_images, tmp_path / "there", DyingPredictor(tmp_path / "mark"))
    assert (tmp_path / "mark").exists() and summary.done == 9
    assert contents(tmp_path / "there") == contents(tmp_path / "here")


def test_an_image_that_kills_three_actors_fails_by_name(mixed_images: Path, tmp_path: Path) -> None:
    summary, _ = run_on_ray(mixed_images, tmp_path / "out", KilledPredictor(), batch_size=3)
    assert (summary.exit_code, summary.done) == (3, 8)
    (failure,) = (text for text in summary.failed if "sub/5.png" in text)
    assert "sub/5.png: it killed 3 processes (The actor is dead because its worker process has died); check" in failure


def test_ray_says_nothing_where_results_go(mixed_images: Path) -> None:
    program = [sys.executable, "-c", TO_STDOUT, str(mixed_images)]
    ended = subprocess.run(program, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (3, "")
    assert len({json.loads(line)["file_name"] for line in ended.stdout.splitlines()}) == 11


def test_what_is_wrong_with_a_model_is_said_once_and_nothing_is_begun(mixed_images: Path, tmp_path: Path) -> None:
    with pytest.raises(HqsamError, match=r"^model.pth: no model; fetch it$"):
        run_on_ray(mixed_images, tmp_path / "out", how=build_nothing)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_without_a_cluster_is_said_at_once(address: str) -> None:
    with pytest.raises(HqsamError, match=rf"^{address}: no Ray cluster \(.*Connection refused\); see ray status"):
        RayEngine(BoxPredictor, address, 1, 1, on_gpu=False)  # type: ignore[arg-type]


def test_too_many_failures_stop_it(mixed_images: Path, tmp_path: Path) -> None:
    for number in range(20):
        (mixed_images / f"bad{number:02d}.jpg").write_bytes(b"")
    summary, _ = run_on_ray(mixed_images, tmp_path / "out", max_errors=3, batch_size=1)
    assert summary.exit_code == 1 and summary.done + len(summary.failed) < 31
    assert run_on_ray(mixed_images, tmp_path / "out")[0].exit_code == 3
    run(mixed_images, tmp_path / "here")
    assert contents(tmp_path / "out") == contents(tmp_path / "here")
