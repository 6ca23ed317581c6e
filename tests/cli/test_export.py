"""`hqsam export`, and `hqsam segment` with an exported model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask as coco_mask

from tests.cli.conftest import Run
from tests.conftest import SAMPLES

BOXES = SAMPLES / "boxes.json"
WITHOUT_TORCH = """
import sys
for name in ("torch", "torchvision", "ultralytics"):
    sys.modules[name] = None
from hqsam_cli.cli import main
main()
"""


def masks_of(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "instances.json").read_text())["annotations"]
    return found


def test_export_prints_iou_and_size_and_its_model_segments(hqsam: Run, small_lite: Path, photos: Path) -> None:
    pytest.importorskip("onnx")
    ended = hqsam("export", small_lite, "out", "--image", photos / "a.jpg")
    assert ended.code == 0 and "wrote out" in ended.err
    assert "encoder.onnx" in ended.out and "MB" in ended.out
    for output in ("auto", "sum", "hq", "sam"):
        (line,) = [line for line in ended.out.splitlines() if line.strip().startswith(f"{output} ")]
        assert float(line.split()[2]) >= 0.999
    assert hqsam("segment", photos, "--boxes", "dets.json", "--model", "out").code == 0
    assert all(own["area"] for own in masks_of(Path("hqsam_out")))


def test_segment_without_torch_has_torchs_masks(hqsam: Run, exported: Path, tmp_path: Path) -> None:
    arguments = ["segment", str(SAMPLES / "images"), "--boxes", str(BOXES), "--mask-output", "auto", "--compare-sam"]
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, *arguments, "--model", str(exported), "--output", "onnx"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    assert hqsam(*arguments, "--windows", "off", "--dtype", "float32", "--output", "torch").code == 0
    made, expected = masks_of(tmp_path / "onnx"), masks_of(tmp_path / "torch")
    for one, other in ((made, expected), ([own["sam"] for own in made], [own["sam"] for own in expected])):
        pairs = [(x["segmentation"], y["segmentation"]) for x, y in zip(one, other, strict=True)]
        ious = [float(coco_mask.iou([x], [y], [0])[0, 0]) for x, y in pairs]
        assert sum(ious) / len(ious) >= 0.999 and min(ious) >= 0.99
    assert [own["score"] for own in made] == pytest.approx([own["score"] for own in expected], abs=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--everything"], "an exported model needs prompts"),
        (["--salient"], "an exported model needs prompts"),
        ([], "an exported model needs prompts; pass --boxes"),
        (["--boxes", "dets.json", "--dtype", "bfloat16"], "--dtype bfloat16: the model was exported in float32"),
        (["--boxes", "dets.json", "--device", "mps"], "--device mps: not available in this ONNX Runtime"),
        (["--boxes", "dets.json", "--windows", "on"], "--windows on: an exported model segments whole images"),
        (["--boxes", "dets.json", "--compile"], "--compile: an exported model runs in ONNX Runtime"),
        (["--boxes", "dets.json", "--devices", "cpu"], "--devices: an exported model runs on one device"),
    ],
)
def test_unsupported_options_are_one_line(
    hqsam: Run, photos: Path, exported: Path, options: list[str], message: str
) -> None:
    ended = hqsam("segment", photos, *options, "--model", exported)
    assert ended.code == 2 and message in ended.err and ended.err.count("\n") == 1


def test_other_commands_take_its_source(hqsam: Run, exported: Path) -> None:
    for command in (("weights", "info"), ("bench", "--model"), ("export", exported, "new")):
        ended = hqsam(*command[:2], exported) if len(command) == 2 else hqsam(*command)
        assert ended.code == 2 and "an exported model, which only hqsam segment runs" in ended.err


def test_a_run_continues_only_with_the_same_model(hqsam: Run, photos: Path, exported: Path) -> None:
    arguments = ("segment", photos, "--boxes", "dets.json")
    assert hqsam(*arguments, "--model", exported).code == 0
    assert "2 already done" in hqsam(*arguments, "--model", exported).err
    ended = hqsam(*arguments, "--dtype", "float32", "--mask-output", "sum")
    assert ended.code == 2 and "--model is another" in ended.err


def test_two_precisions_are_refused(hqsam: Run) -> None:
    ended = hqsam("export", "lite", "out", "--half", "--int8")
    assert ended.code == 2 and "--half and --int8" in ended.err
