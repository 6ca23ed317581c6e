"""The stages of `lite`: what each changes, how it continues, and with what the HQ part begins."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hqsam_cli.models.layouts import is_hq
from hqsam_cli.models.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PromptBatch
from hqsam_cli.training.data import collated
from hqsam_cli.training.layouts import PairFolder
from hqsam_cli.training.lite import (
    ALL_SETS,
    FINE_SETS,
    FROZEN,
    Stage,
    StageObjective,
    begin_as_sam,
    run_stage,
    stage_samples,
)

from .conftest import copied, equal, small_lite


@pytest.fixture(autouse=True)
def every_set_is_used(folder: PairFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FINE_SETS, folder.name, 1.0)
    monkeypatch.setitem(ALL_SETS, folder.name, 1.0)


@pytest.mark.parametrize(
    ("part", "beginnings"),
    [("encoder", "image_encoder."), ("sam", ("image_encoder.", "mask_decoder.")), ("hq", "mask_decoder.")],
)
def test_a_stage_of_lite_changes_its_part_alone_and_continues(
    folder: PairFolder, lessons: Path, tmp_path: Path, part: str, beginnings: str | tuple[str, ...]
) -> None:
    stage = Stage("test", part, 64, 3, 2, 1e-3, 1e-3, 1e-3, prompts=2)  # type: ignore[arg-type]
    model = small_lite()
    before = copied(model)
    run_stage(model, stage, [folder], lessons, tmp_path, device="cpu", workers=0)
    after = copied(model)
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert changed
    assert all(key.startswith(beginnings) and is_hq(key) == (part == "hq") for key in changed)
    assert not any(key.startswith(FROZEN) for key in changed)
    again = small_lite()
    run_stage(again, stage, [folder], lessons, tmp_path, device="cpu", workers=0)
    assert equal(after, copied(again))


def test_what_no_teacher_saw_teaches_masks_but_no_embedding(folder: PairFolder, lessons: Path) -> None:
    stage = Stage("test", "sam", 128, 1, 2, 1e-3, 1e-3, 1e-3, prompts=2, photos=True)
    model = small_lite()
    batch = collated([stage_samples(stage, [folder], lessons)[number] for number in range(2)])
    model.image_size = model.prompt_encoder.image_size = 128
    objective = StageObjective(model, "sam")
    loss, log = objective(batch)
    untaught = {**batch, "embedding": batch["embedding"].clone()}
    untaught["embedding"][1] = 7.0
    assert objective(untaught)[0] == loss
    untaught["mask"] = batch["mask"].clone()
    untaught["mask"][2:] = 255 - untaught["mask"][2:]
    other, logged = objective(untaught)
    assert other != loss
    assert logged["unexplained"] == log["unexplained"]


def test_a_state_of_the_whole_model_is_continued_too(folder: PairFolder, lessons: Path, tmp_path: Path) -> None:
    """Stages were once saved with all tensors, frozen ones included, and nothing beside."""
    stage = Stage("test", "hq", 64, 4, 2, 1e-3)
    model = small_lite()
    run_stage(model, stage, [folder], lessons, tmp_path, device="cpu", workers=0)
    saved = torch.load(tmp_path / "test.pt", weights_only=True)
    whole = model.state_dict()
    old = {part: {**whole, **saved[part]} for part in ("model", "average")}
    torch.save({**old, "optimizer": saved["optimizer"], "step": 4}, tmp_path / "test.pt")
    again = small_lite()
    run_stage(again, stage, [folder], lessons, tmp_path, device="cpu", workers=0)
    assert equal(copied(model), copied(again))


def test_the_hq_part_begins_with_sams_masks() -> None:
    model = small_lite()
    own = {key: value for key, value in copied(model).items() if not is_hq(key)}
    begin_as_sam(model)
    boxes = torch.tensor([[[8.0, 8.0], [50.0, 40.0]], [[0.0, 20.0], [30.0, 60.0]]])
    labels = torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]] * 2)
    with torch.inference_mode():
        features = model.encode(torch.randn(1, 3, 64, 64))
        decoded = model.decode(features, PromptBatch(torch.zeros(2, dtype=torch.long), boxes, labels))
    assert decoded.hq is not None
    seen = decoded.sam > 0
    assert seen.any() and not seen.all()
    assert torch.equal(decoded.hq > 0, seen)
    assert equal(own, {key: model.state_dict()[key] for key in own})
