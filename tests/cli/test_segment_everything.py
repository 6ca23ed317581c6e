"""`hqsam segment --everything` from the outside."""

from __future__ import annotations

from pathlib import Path

import pytest
from pycocotools.coco import COCO

from tests.cli.conftest import Run


def test_everything_needs_no_prompts(hqsam: Run, photos: Path) -> None:
    command = ("segment", photos, "--everything", "--points-per-side", "2", "-f", "coco", "-f", "png")
    loose = ("--pred-iou-thresh", "0.2", "--stability-score-thresh", "0.2")
    result = hqsam(*command, *loose)
    assert result.code == 0, result.err
    coco = COCO("hqsam_out/instances.json")
    assert coco.cats == {1: {"id": 1, "name": "object"}} and coco.anns
    for annotation in coco.anns.values():
        assert annotation["predicted_iou"] > 0.2 and annotation["stability_score"] >= 0.2
        name = coco.imgs[annotation["image_id"]]["file_name"]
        assert Path(f"hqsam_out/masks/{name}/{annotation['id']}.png").exists()
    assert "2 of 2 images already done" in hqsam(*command, *loose).err
    assert "--pred-iou-thresh was 0.2, is 0.88" in hqsam(*command, *loose[2:]).err
    one = hqsam(*command[:5], *loose, "--max-det", "1", "-o", "-")
    assert all(len(line["annotations"]) <= 1 for line in one.lines)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--everything", "--boxes", "dets.json"], "--everything takes no prompts"),
        (["--everything", "--detector", "object"], "--everything takes no prompts"),
        (["--everything", "--multimask"], "omit --multimask"),
        (
            ["--everything", "--windows", "on", "--crop-n-layers", "1"],
            "--windows on: --crop-n-layers has other crops; omit one of them",
        ),
        (["--boxes", "dets.json", "--points-per-side", "8"], "--points-per-side: applies to everything mode only"),
    ],
)
def test_everything_and_prompts_do_not_mix(hqsam: Run, photos: Path, arguments: list[str], said: str) -> None:
    result = hqsam("segment", photos, *arguments)
    assert result.code == 2 and said in result.err
