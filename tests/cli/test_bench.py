"""`hqsam bench` from the outside."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from hqsam_cli.weights.registry import build_model
from tests.cli.conftest import Run


def test_every_precision_and_output_has_a_row(hqsam: Run, photos: Path) -> None:
    torch.manual_seed(0)
    save_file(
        build_model("vit_tiny", image_size=128, device="cpu").state_dict(), "random.safetensors", {"image_size": "128"}
    )
    command = ("bench", photos, "--model", "random.safetensors", "--images", "2", "--boxes", "3", "--device", "cpu")
    result = hqsam(*command, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert (found["images"], found["boxes"], found["device"], found["parameters"]) == (2, 3, "cpu", 10_578_604)
    assert {row["mask_output"] for row in found["rows"]} == {"sum", "sam"}
    assert "float32" in {row["dtype"] for row in found["rows"]}
    for row in found["rows"]:
        parts = row["seconds_encode"] + 3 * (row["seconds_prompt"] + row["seconds_rle"])
        assert abs(row["seconds_image"] - parts) < 1e-9 and 0 < row["matrix_rate_share"] < 2
    table = hqsam(*command, "-q")
    assert table.err == "" and table.out.splitlines()[0].split()[:2] == ["precision", "masks"]
    assert all(line == line.rstrip() for line in table.out.splitlines())


def test_a_plain_sam_has_its_own_masks_alone(hqsam: Run) -> None:
    torch.manual_seed(0)
    state = build_model("vit_tiny", has_hq=False, image_size=128, device="cpu").state_dict()
    save_file(state, "plain.safetensors", {"image_size": "128"})
    result = hqsam(
        "bench", "--model", "plain.safetensors", "--images", "1", "--boxes", "1", "--json", "--device", "cpu"
    )
    assert result.code == 0, result.err
    assert {row["mask_output"] for row in json.loads(result.out)["rows"]} == {"sam"}
    assert hqsam("bench", "nothing/*.jpg", "--model", "plain.safetensors").code == 4
