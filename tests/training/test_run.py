"""Epochs of the recipe: validation, the best kept, the learning rate."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from hqsam_cli.configs import TrainConfig, changes, identity
from hqsam_cli.data.pairs import ImageMaskFolder, Pair
from hqsam_cli.errors import HqsamError
from hqsam_cli.training import run as runs
from hqsam_cli.training.distributed import World
from hqsam_cli.training.history import Scores
from hqsam_cli.training.validate import validate
from hqsam_cli.weights.checkpoints import read_state
from hqsam_cli.weights.registry import PACKAGED
from tests.evaluation.conftest import KnownMasks, fill_box
from tests.training.conftest import small_model


@pytest.fixture
def run(folder: ImageMaskFolder, tmp_path: Path) -> Callable[..., runs.TrainResult]:
    """Train `lite` on four images at 64 pixels, one step an epoch."""

    def start(**options: Any) -> runs.TrainResult:
        config = TrainConfig(image_size=64, workers=0, dtype="float32", **options)
        run = runs.TrainRun(
            config=config,
            base=PACKAGED["lite"],
            data=[folder],
            val=[folder],
            output=tmp_path,
            scores_base=False,
        )
        return runs.train_run(run, World(torch.device("cpu")))

    return start


def scripted(monkeypatch: pytest.MonkeyPatch, *scores: float | None) -> None:
    """Validation that gives these scores, one an epoch; at None the process is killed."""
    coming = iter(scores)

    def fake(*_: Any, **__: Any) -> tuple[dict[str, Scores], list[str]]:
        score = next(coming)
        if score is None:
            raise KeyboardInterrupt
        return {"set": Scores(score, score, 4)}, []

    monkeypatch.setattr(runs, "validate", fake)


def test_the_best_epoch_is_kept(
    run: Callable[..., runs.TrainResult], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted(monkeypatch, 10.0, 30.0, 20.0)
    result = run(epochs=3)
    assert result.best is not None and result.best.scores is not None
    assert (result.best.epoch, result.best.scores.miou) == (2, 30.0)
    learned, metadata = read_state(tmp_path / "hq_only.safetensors")
    assert json.loads(metadata["result"])["epoch"] == 2
    last = torch.load(tmp_path / "train.pt", weights_only=True)["model"]
    assert not torch.equal(learned["mask_decoder.hf_token.weight"], last["mask_decoder.hf_token.weight"])


def test_an_epoch_whose_validation_was_killed_is_validated_again(
    run: Callable[..., runs.TrainResult], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted(monkeypatch, 10.0, None)
    with pytest.raises(KeyboardInterrupt):
        run(epochs=2)
    scripted(monkeypatch, 20.0)
    best = run(epochs=2).best
    assert best is not None and best.epoch == 2
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line.get("miou")) for line in lines] == [(1, None), (1, 10.0), (2, None), (2, 20.0)]


def test_the_learning_rate_falls_to_a_tenth_and_more_epochs_may_follow(
    run: Callable[..., runs.TrainResult], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted(monkeypatch, *[1.0] * 5)
    run(epochs=2, lr_step=2)
    run(epochs=5, lr_step=2)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    rates = [line["lr"] for line in lines if "lr" in line]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5])


def test_the_linear_schedule_warms_up_and_ends_at_nothing(
    run: Callable[..., runs.TrainResult], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("hqsam_cli.training.trainer.WARMUP_STEPS", 2)
    scripted(monkeypatch, *[1.0] * 6)
    run(epochs=6, lr_schedule="linear")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    rates = [line["lr"] for line in lines if "lr" in line]
    assert rates == pytest.approx([5e-4, 1e-3, 1e-3, 0.75e-3, 0.5e-3, 0.25e-3])


def test_what_is_kept_is_the_average_and_the_run_goes_on_without_it(
    run: Callable[..., runs.TrainResult], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted(monkeypatch, 1.0, 2.0)
    run(epochs=2, ema_decay=0.5)
    state = torch.load(tmp_path / "train.pt", weights_only=True)
    kept, _ = read_state(tmp_path / "hq_only.safetensors")
    token = "mask_decoder.hf_token.weight"
    assert torch.equal(kept[token], state["ema"][token])
    assert not torch.equal(kept[token], state["model"][token])


def test_encoded_images_of_a_run_come_again_and_are_no_others(
    run: Callable[..., runs.TrainResult], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scripted(monkeypatch, *[1.0] * 3)
    run(epochs=3, cache=4, augmentation="strong", prompts=2, keep_sam=1.0, mask_output="both", init="sam", fresh=True)
    (folder,) = (tmp_path / "cache").iterdir()
    assert len(list(folder.iterdir())) == 4
    with pytest.raises(HqsamError, match="`cache`"):
        run(
            epochs=3,
            cache=3,
            augmentation="strong",
            prompts=2,
            keep_sam=1.0,
            mask_output="both",
            init="sam",
            fresh=True,
        )


def test_validation_scores_the_gt_itself_full(
    folder: ImageMaskFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With masks that are boxes, a model that fills its box is right; pairs that are broken do not count."""
    mask = np.zeros((120, 160), np.uint8)
    mask[30:70, 20:90] = 255
    cv2.imwrite(str(tmp_path / "box.png"), mask)
    image = folder.pairs[0].image
    boxes = ImageMaskFolder("boxes", [Pair(name, image, tmp_path / name) for name in ("box.png", "gone.png")])
    evaluator = KnownMasks(fill_box)
    evaluator.outputs = ("hq",)
    monkeypatch.setattr("hqsam_cli.training.validate.Evaluator", lambda *_, **__: evaluator)
    scores, problems = validate(small_model(), [boxes, boxes], mask_output="hq")
    assert scores == {"boxes": Scores(100.0, 100.0, 1), "boxes (2)": Scores(100.0, 100.0, 1)}
    assert len(problems) == 2 and all("gone.png" in text for text in problems)


def test_the_folder_of_a_cache_does_not_need_an_image_size(folder: ImageMaskFolder, tmp_path: Path) -> None:
    runs_of = [
        runs.TrainRun(config=config, base=PACKAGED["lite"], data=[folder], val=[], output=tmp_path)
        for config in (TrainConfig(cache=4), TrainConfig(cache=4, image_size=64))
    ]
    first, second = (run.cache_folder() for run in runs_of)
    assert first.parent == second.parent == tmp_path / "cache" and first != second


def test_a_training_is_compared_by_what_its_weights_depend_on() -> None:
    config = TrainConfig(model="vit_b", workers=1, checkpoint_steps=1, device="cuda", overwrite=True, val=(Path("a"),))
    known = identity(config)
    names = "epochs batch_size lr lr_step lr_schedule dtype seed fresh init mask_output augmentation prompts keep_sam"
    # Of the first version, whose runs are continued.
    assert sorted(known) == sorted(f"{names} cache learn exif variant version results_revision".split())
    earlier = {name: value for name, value in known.items() if name != "results_revision"}
    assert changes(earlier, {**earlier, "results_revision": "1"}) == []
