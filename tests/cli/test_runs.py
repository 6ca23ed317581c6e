"""`hqsam status` and `hqsam merge`, and the options of long runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from hqsam_cli.batch.check_config import errors_allowed
from hqsam_cli.errors import UsageError
from hqsam_cli.weights.registry import build_model
from tests.cli.conftest import Run


def test_two_shards_merged_are_one_run(hqsam: Run, photos: Path) -> None:
    command = ("segment", photos, "--boxes", "dets.json")
    assert hqsam(*command, "-o", "whole").code == 0
    for index in (1, 2):
        made = hqsam(*command, "--shard", f"{index}/2", "-o", f"part{index}")
        assert made.code == 0 and "no prompt file mentions" not in made.err
    assert "missing shards: 1/2" in hqsam("merge", "all", "part2").err
    merged = hqsam("merge", "all", "part1", "part2")
    assert merged.code == 0 and "2 images, 3 masks" in merged.err and merged.out == ""
    one, joined = (json.loads(Path(name, "instances.json").read_text()) for name in ("whole", "all"))
    assert "hqsam merge all part1 part2" in joined.pop("info")["command"]
    one.pop("info")
    assert joined == one
    masks = [sorted(filter(Path.is_file, Path(name, "masks").rglob("*.png"))) for name in ("whole", "all")]
    assert len(masks[0]) == 3
    assert [path.read_bytes() for path in masks[0]] == [path.read_bytes() for path in masks[1]]
    assert "2 of 2 images already done" in hqsam(*command, "-o", "all").err


def test_a_process_on_each_device_makes_what_one_makes(hqsam: Run, photos: Path) -> None:
    torch.manual_seed(0)
    save_file(
        build_model("vit_tiny", image_size=128, device="cpu").state_dict(), "random.safetensors", {"image_size": "128"}
    )
    command = ("segment", photos, "--boxes", "dets.json", "--model", "random.safetensors", "--dtype", "float32")
    assert hqsam(*command, "--device", "cpu", "-o", "one").code == 0
    several = hqsam(*command, "--devices", "cpu,cpu", "-o", "two")
    assert several.code == 0 and "2 of 2 images, 3 masks" in several.err
    one, two = (json.loads(Path(name, "instances.json").read_text())["annotations"] for name in ("one", "two"))
    assert one == two
    assert "2 of 2 images already done" in hqsam(*command, "--device", "cpu", "-o", "two").err


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--devices", "0,1,9", "--engine", "ray"), "--devices: cannot be combined with --engine"),
        (("--devices", "0", "--device", "cpu"), "--devices: cannot be combined with --device"),
        (("--devices", "cpu,tpu"), "unknown device"),
        (("--devices", "999"), "cuda:999: this machine has"),
    ],
)
def test_devices_that_cannot_be_meant(hqsam: Run, photos: Path, options: tuple[str, ...], expected: str) -> None:
    refused = hqsam("segment", photos, "--boxes", "dets.json", *options)
    assert refused.code == 2 and expected in refused.err


def test_status_says_what_failed_and_why(hqsam: Run, photos: Path) -> None:
    (photos / "bad.jpg").write_bytes(b"\xff\xd8\xff")
    assert hqsam("segment", photos, "--boxes", "dets.json", "--max-errors", "50%").code == 3
    shown = hqsam("status", "hqsam_out")
    assert shown.code == 0 and shown.err == ""
    for row in ("state    finished", "failed   1", "results  3", "bad.jpg"):
        assert row in shown.out
    found = json.loads(hqsam("status", "hqsam_out", "--json").out)
    assert (found["images"], found["done"], found["left"], found["reasons"][0]["images"]) == (3, 2, 0, 1)
    again = hqsam("segment", photos, "--boxes", "dets.json", "--max-errors", "50%")
    assert (
        again.code == 3
        and "1 unchanged images failed in an earlier run, not retried; pass --retry-failed to retry" in again.err
    )
    assert "1 failed" in hqsam("segment", photos, "--boxes", "dets.json", "--retry-failed").err
    assert hqsam("status", "imgs").code == 2


def test_a_run_that_is_stopped_by_failures_says_so(hqsam: Run, photos: Path) -> None:
    for number in range(6):
        (photos / f"0{number}.jpg").write_bytes(b"")
    command = ("segment", photos, "--salient", "--max-errors", "0", "--workers", "1")
    stopped = hqsam(*command)
    assert stopped.code == 1 and stopped.err.splitlines()[-1].startswith("hqsam: error: stopped: ")
    assert "stopped" in hqsam("status", "hqsam_out").out
    assert "wrote hqsam_out/instances.json" in stopped.err and Path("hqsam_out/instances.json").exists()


def test_status_of_a_file_of_boxes(hqsam: Run, photos: Path) -> None:
    assert hqsam("detect", photos, "-o", "found.json", "--max-errors", "0").code == 0
    assert "state    finished" in hqsam("status", "found.json").out


@pytest.mark.parametrize(
    ("text", "allowed"), [("0", 0), ("20", 20), ("1%", 2), ("0.4%", 0), ("100%", 200), ("2.5%", 5), (None, None)]
)
def test_how_many_may_fail(text: str | None, allowed: int | None) -> None:
    assert errors_allowed(text, 200) == allowed


@pytest.mark.parametrize("text", ["", "-1", "1.5", "101%", "%", "many", "1e3"])
def test_what_is_no_number_of_failures(text: str) -> None:
    with pytest.raises(UsageError, match="max_errors"):
        errors_allowed(text, 200)


@pytest.mark.parametrize("shard", ["0/2", "3/2", "half"])
def test_what_is_no_shard_is_said_in_one_line(hqsam: Run, photos: Path, shard: str) -> None:
    ended = hqsam("segment", photos, "--shard", shard)
    assert ended.code == 2 and ended.err.splitlines()[-1].startswith(f"hqsam: error: --shard {shard}: ")


def test_compiling_without_a_compiler_is_refused(hqsam: Run, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    refused = hqsam("segment", photos, "--boxes", "dets.json", "--compile")
    assert refused.code == 2 and "--compile: needs a C or C++ compiler" in refused.err


def test_the_threshold_of_salient_objects_is_an_option_of_the_run(hqsam: Run, photos: Path) -> None:
    assert hqsam("segment", photos, "--salient", "-o", "out").code == 0
    other = hqsam("segment", photos, "--salient", "--score-threshold", "0.99", "-o", "out")
    assert (other.code, "--score-threshold" in other.err) == (2, True), other.err


@pytest.mark.parametrize(("options", "head"), [(["--salient"], "SALIENCY"), ([], "OBJECTNESS")])
def test_a_run_is_not_continued_with_other_weights_of_its_head(
    hqsam: Run,
    photos: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: list[str],
    head: str,
) -> None:
    command = ("segment", photos, *options, "-o", "out")
    assert hqsam(*command).code == 0
    Path(tmp_path, "other").write_bytes(b"other weights")
    monkeypatch.setattr(f"hqsam_cli.batch.segment.{head}", Path(tmp_path, "other"))
    refused = hqsam(*command)
    assert (refused.code, "--detector is another" in refused.err) == (2, True), refused.err
