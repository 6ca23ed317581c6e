"""Training samples and losses."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from hqsam_cli.models.prompt_encoder import ABSENT, BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, FOREGROUND_POINT
from hqsam_cli.models.zoo import build_model
from hqsam_cli.training.augment import AugmentConfig
from hqsam_cli.training.data import PairFolder, PromptedMasks, Stretch, pair_folder
from hqsam_cli.training.loop import HQ_MODULES, Stage, run_stage
from hqsam_cli.training.losses import mask_loss
from hqsam_cli.training.prompts import PromptMix, prompt_batch, sampled_prompt
from hqsam_cli.training.scenes import render_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> PairFolder:
    root = tmp_path_factory.mktemp("set")
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for number in range(4):
        scene = render_scene(np.random.default_rng(number), 120, 160, objects=1, kinds=["blob"])
        cv2.imwrite(str(root / "images" / f"{number}.jpg"), scene.image[..., ::-1])
        cv2.imwrite(str(root / "masks" / f"{number}.png"), scene.masks[0].astype(np.uint8) * 255)
    return pair_folder(root, 1.0)


def test_a_missing_mask_is_named(folder: PairFolder, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/lonely.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match=r"lonely\.png"):
        pair_folder(tmp_path, 1.0)


def test_a_sample_depends_on_seed_and_number_alone(folder: PairFolder) -> None:
    samples = PromptedMasks([folder], 96, PromptMix(), AugmentConfig(), seed=3)
    for number in range(20):
        one, same = samples[number], samples[number]
        assert all(torch.equal(one[key], same[key]) for key in one)
        assert one["image"].shape == (3, 96, 96)
        assert one["mask"].any()
    assert not torch.equal(samples[0]["image"], samples[1]["image"])


def test_prompts_are_of_the_object() -> None:
    mask = np.zeros((128, 128), np.uint8)
    mask[30:60, 40:100] = 1
    for seed in range(60):
        rng = np.random.default_rng(seed)
        box = sampled_prompt(rng, mask, PromptMix(box=1.0, points=0.0, coarse=0.0))
        corners = box.points[(box.labels == BOX_TOP_LEFT) | (box.labels == BOX_BOTTOM_RIGHT)]
        assert np.abs(corners - [[40, 30], [100, 60]]).max() <= 0.2 * 60 + 1
        points = sampled_prompt(rng, mask, PromptMix(box=0.0, points=1.0, coarse=0.0))
        for (x, y), label in zip(points.points.astype(int), points.labels, strict=True):
            if label in (0, 1):
                assert mask[y, x] == (label == FOREGROUND_POINT)
        coarse = sampled_prompt(rng, mask, PromptMix(box=0.0, points=0.0, coarse=1.0))
        assert coarse.has_coarse
        assert set(np.unique(coarse.coarse)) <= {0, 255}


def test_a_batch_of_prompts_is_as_long_as_its_longest(folder: PairFolder) -> None:
    samples = PromptedMasks([folder], 96, PromptMix(), AugmentConfig(), seed=0)
    batch = next(iter(DataLoader(samples, batch_size=8, sampler=Stretch(0, 8))))
    prompts = prompt_batch(batch)
    assert prompts.labels.shape[1] == int((batch["labels"] != ABSENT).sum(1).max())


def test_loss_is_small_for_the_truth_and_large_for_its_opposite() -> None:
    target = (torch.arange(64).view(1, 8, 8) % 3 == 0).float()
    assert float(mask_loss(20 * (target - 0.5), target)) < 0.01
    assert float(mask_loss(20 * (0.5 - target), target)) > 5


@pytest.mark.parametrize("part", ["sam", "hq"])
def test_a_stage_changes_its_part_alone_and_continues(folder: PairFolder, tmp_path: Path, part: str) -> None:
    stage = Stage("test", part, 64, 3, 2, 1e-3, 1e-3, {folder.name: 1.0})  # type: ignore[arg-type]
    torch.manual_seed(0)
    model = build_model("lite", image_size=64)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    run_stage(model, stage, [folder], tmp_path, device="cpu", workers=0)
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    hq = {key for key in before if key.split(".")[0] == "mask_decoder" and key.split(".")[1] in HQ_MODULES}
    assert changed
    assert changed <= hq if part == "hq" else not changed & hq
    assert (tmp_path / "metrics.jsonl").read_text().count("\n") == 1
    finished = {key: value.clone() for key, value in model.state_dict().items()}
    run_stage(model, stage, [folder], tmp_path, device="cpu", workers=0)
    assert all(torch.equal(value, finished[key]) for key, value in model.state_dict().items())
