"""Frames that are encoded once: the same steps as without, each of them once a turn, and SAM's own objects."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from hqsam_cli.configs import Augmentation, TrainConfig, Trained
from hqsam_cli.data.pairs import ImageMaskFolder
from hqsam_cli.modeling.sam import HQSam, normalize
from hqsam_cli.training.criterion import Criterion
from hqsam_cli.training.data import AugmentedPairs, Batch, Samples, collate
from hqsam_cli.training.encoding_cache import EncodingCache, propose_objects
from hqsam_cli.training.variants import prepare

from .conftest import small_model


@pytest.fixture
def model() -> HQSam:
    made = small_model()
    prepare(made, TrainConfig(init="sam", fresh=True))
    return made


def batch_of(
    folder: ImageMaskFolder, cache: EncodingCache | None, numbers: range, augmentation: Augmentation = "strong"
) -> Batch:
    samples = Samples(
        AugmentedPairs([folder], 64, 2, seed=1, augmentation=augmentation), seed=1, prompts=2, cache=cache
    )
    return collate([samples[number] for number in numbers])


def test_an_image_from_the_cache_gives_the_loss_it_gave_when_it_was_new(
    folder: ImageMaskFolder, model: HQSam, tmp_path: Path
) -> None:
    cache = EncodingCache(tmp_path, 2)
    config = TrainConfig(mask_output="both", keep_sam=0.5, seed=1)
    criterion = Criterion(model, config, cache)
    first, log = criterion(batch_of(folder, cache, range(2)))
    assert set(log) == {"iou", "distillation_loss"}
    again = batch_of(folder, cache, range(2))
    assert all(image is None for image in again.images)
    assert torch.equal(criterion(again)[0], first)

    plain = Criterion(model, config)
    torch.testing.assert_close(plain(batch_of(folder, None, range(2)))[0], first, atol=5e-3, rtol=0)


def test_each_image_comes_once_before_any_comes_again(folder: ImageMaskFolder, model: HQSam, tmp_path: Path) -> None:
    cache = EncodingCache(tmp_path, 4)
    criterion = Criterion(model, TrainConfig(), cache)
    criterion(batch_of(folder, cache, range(4)))
    assert len(list(tmp_path.iterdir())) == 4
    turns = [batch_of(folder, cache, range(4 * turn, 4 * turn + 4)) for turn in (1, 2, 3)]
    assert all(sorted(turn.numbers) == [0, 1, 2, 3] for turn in turns)
    assert not all(torch.equal(turn.points, turns[0].points) for turn in turns)  # other prompts each time


def test_an_unbounded_source_never_repeats(folder: ImageMaskFolder) -> None:
    assert batch_of(folder, None, range(9, 13)).numbers == [9, 10, 11, 12]


@torch.no_grad()
def test_objects_that_sam_finds_are_its_answers_to_boxes(
    folder: ImageMaskFolder, model: HQSam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hqsam_cli.training.encoding_cache.PRED_IOU_THRESH", -np.inf)
    monkeypatch.setattr("hqsam_cli.training.encoding_cache.MIN_SIDE", 1)
    images = torch.stack([image for image in batch_of(folder, None, range(2)).images if image is not None])
    encoding = model.image_encoder(normalize(images))
    found = propose_objects(model, encoding, [3, 4])
    for boxes, answers in found:
        assert len(boxes)
        assert boxes.shape == (len(answers), 4)
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert answers.dtype == torch.bool
    alone = [propose_objects(model, [own[n : n + 1] for own in encoding], [seed])[0] for n, seed in enumerate((3, 4))]
    assert all(
        torch.equal(a, b) for own, other in zip(found, alone, strict=True) for a, b in zip(own, other, strict=True)
    )


def test_nothing_is_kept_where_sam_is_sure_of_nothing(
    folder: ImageMaskFolder, model: HQSam, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hqsam_cli.training.encoding_cache.PRED_IOU_THRESH", np.inf)
    loss, log = Criterion(model, TrainConfig(keep_sam=1.0))(batch_of(folder, None, range(2)))
    assert torch.isfinite(loss)
    assert float(log["distillation_loss"]) == 0
    loss.backward()


def test_what_is_trained_is_what_the_loss_is_of(folder: ImageMaskFolder, model: HQSam) -> None:
    losses = {
        trained: Criterion(model, TrainConfig(mask_output=trained))(batch_of(folder, None, range(2)))[0].item()
        for trained in get_args(Trained)
    }
    assert losses["both"] == pytest.approx((losses["hq"] + losses["sum"]) / 2)
    assert losses["hq"] != pytest.approx(losses["sum"])


@pytest.mark.parametrize("augmentation", get_args(Augmentation))
def test_a_sample_is_the_same_before_and_after_its_image_was_encoded(
    folder: ImageMaskFolder, model: HQSam, tmp_path: Path, augmentation: Augmentation
) -> None:
    """So a run that was killed right after an image was kept goes on to the weights of an unbroken one."""
    cache = EncodingCache(tmp_path, 2)
    before = batch_of(folder, cache, range(2), augmentation)
    Criterion(model, TrainConfig(), cache)(before)
    after = batch_of(folder, cache, range(2), augmentation)
    for name in ("masks", "points", "labels", "coarse", "draws"):
        assert torch.equal(getattr(before, name), getattr(after, name)), name
