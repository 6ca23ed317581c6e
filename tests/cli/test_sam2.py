"""SAM 2.1 and HQ-SAM 2 from the command line: a file in the official layout, training, evaluation and masks."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hqsam_cli.recipes.scenes import render_scene
from hqsam_cli.weights.checkpoints import METADATA, read_checkpoint, read_state
from hqsam_cli.weights.conversion import is_hq, sam2_key
from hqsam_cli.weights.registry import ARCHITECTURES, build_model, hiera_architecture

from .conftest import Run


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SAM 2.1 with a small encoder and random weights, for squares of 64 pixels, named as in the official files."""
    monkeypatch.setitem(ARCHITECTURES, "hiera_t", hiera_architecture(16, 1, (1, 1, 2, 1), (3,)))
    torch.manual_seed(0)
    state = build_model("hiera_t", has_hq=False, image_size=64, device="cpu").state_dict()
    official = {sam2_key(key): value for key, value in state.items()}
    videos = {"memory_attention.norm.weight": torch.ones(256), "no_obj_ptr": torch.zeros(1, 256)}
    torch.save({"model": official | videos, METADATA: {"image_size": "64"}}, tmp_path / "plain.pt")
    return tmp_path / "plain.pt"


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Four wide images with a mask each."""
    folder = tmp_path / "pairs"
    for part in ("im", "gt"):
        (folder / part).mkdir(parents=True)
    for number in range(4):
        scene = render_scene(np.random.default_rng(number), 60, 140, objects=1, kinds=["blob"])
        cv2.imwrite(str(folder / "im" / f"{number}.jpg"), scene.image[..., ::-1])
        cv2.imwrite(str(folder / "gt" / f"{number}.png"), scene.masks[0].astype(np.uint8) * 255)
    return folder


def test_from_a_plain_file_to_a_trained_model_that_segments(
    hqsam: Run, plain: Path, pairs: Path, tmp_path: Path
) -> None:
    small = ("--batch-size", 2, "--workers", 0, "--device", "cpu")
    ended = hqsam("train", "--model", plain, "--data", pairs, "--val", pairs, "--epochs", 1, *small, "-o", "run")
    assert ended.code == 0, ended.err
    trained, base = read_state(tmp_path / "run/hqsam.safetensors")[0], read_checkpoint(plain).state
    assert all(torch.equal(value, trained[key]) for key, value in base.items())
    assert trained.keys() - base.keys() == {key for key in trained if is_hq(key)}

    about = json.loads(hqsam("weights", "info", "run/hqsam.safetensors", "--json").out)
    assert (about["kind"], about["architecture"], about["hq_parameters"]) == ("HQ-SAM", "hiera_t", 177_152)
    merged = hqsam("weights", "merge", plain, "run/hq_only.safetensors", "-o", "merged.safetensors")
    assert merged.code == 0, merged.err
    again = read_state(tmp_path / "merged.safetensors")[0]
    assert again.keys() == trained.keys() and all(torch.equal(again[key], trained[key]) for key in trained)

    model = ("--model", "merged.safetensors", "--device", "cpu")
    scored = hqsam("eval", "--dataset", pairs, *model, "--protocol", "deploy", "--json", "-")
    rows = json.loads(scored.out)["rows"]
    assert [row["mask_output"] for row in rows] == ["sam", "hq", "sum", "auto"]
    assert all(0 <= row["figures"]["mIoU"] <= 100 for row in rows)

    for number, extra in enumerate(((), ("--mask-output", "auto", "--multimask"), ("--dtype", "bfloat16"))):
        box = ("--box", "20,10,90,50")
        segmented = hqsam("segment", pairs / "im/0.jpg", *box, *model, *extra, "-o", f"out{number}")
        assert segmented.code == 0, segmented.err
        found = json.loads((tmp_path / f"out{number}/instances.json").read_text())["annotations"]
        assert len(found) == (3 if "--multimask" in extra else 1)
        assert all(own["segmentation"]["size"] == [60, 140] for own in found)


def test_what_a_file_lacks_is_named(hqsam: Run, plain: Path, tmp_path: Path) -> None:
    content = torch.load(plain, weights_only=True)
    del content["model"]["sam_mask_decoder.obj_score_token.weight"]
    content["model"]["surprise"] = torch.zeros(1)
    torch.save(content, tmp_path / "broken.pt")
    ended = hqsam("weights", "info", "broken.pt")
    assert ended.code == 1
    assert "SAM hiera_t" in ended.err and "obj_score_token" in ended.err and "surprise" in ended.err


def test_a_plain_sam2_has_no_hq_masks(hqsam: Run, plain: Path, pairs: Path) -> None:
    command = ("segment", pairs / "im/0.jpg", "--box", "20,10,90,50", "--model", plain, "--device", "cpu")
    assert "mask_output" in hqsam(*command).err or hqsam(*command).code == 2
    ended = hqsam(*command, "--mask-output", "sam", "-o", "out")
    assert ended.code == 0, ended.err


def test_hq_modules_that_do_not_name_their_model_are_not_merged(hqsam: Run, plain: Path, tmp_path: Path) -> None:
    own = build_model("hiera_t", image_size=64, device="cpu").state_dict()
    torch.save({key: value for key, value in own.items() if is_hq(key)}, tmp_path / "hq.pt")
    ended = hqsam("weights", "merge", plain, "hq.pt", "-o", "merged.pt")
    assert ended.code == 1 and "hq.pt: HQ modules without early features and without metadata" in ended.err
