"""The HQ modules of HQ-SAM 2, trained on a frozen SAM 2.1."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hqsam_cli.configs import TrainConfig
from hqsam_cli.data.pairs import ImageMaskFolder
from hqsam_cli.errors import UsageError
from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.training.criterion import Criterion
from hqsam_cli.training.data import AugmentedPairs, Batch, Samples, collate
from hqsam_cli.training.encoding_cache import EncodingCache
from hqsam_cli.training.variants import prepare
from hqsam_cli.weights.conversion import is_hq
from hqsam_cli.weights.registry import ARCHITECTURES, build_model, hiera_architecture

from .conftest import copied


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> HQSam:
    """A plain SAM 2.1 with a small encoder, for squares of 64 pixels."""
    monkeypatch.setitem(ARCHITECTURES, "hiera_t", hiera_architecture(16, 1, (1, 1, 2, 1), (3,)))
    torch.manual_seed(0)
    return build_model("hiera_t", has_hq=False, image_size=64, device="cpu").eval()


def batch_of(folder: ImageMaskFolder, cache: EncodingCache | None = None) -> Batch:
    samples = Samples(AugmentedPairs([folder], 64, 2, seed=1), seed=1, prompts=2, cache=cache)
    return collate([samples[number] for number in range(2)])


def test_a_few_steps_change_the_hq_modules_alone(folder: ImageMaskFolder, model: HQSam) -> None:
    before, config = copied(model), TrainConfig(mask_output="both")
    prepare(model, config)
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert sum(p.numel() for p in learned.values()) == 177_152 and all(map(is_hq, learned))
    start = copied(model)
    criterion, optimizer = Criterion(model, config), torch.optim.Adam(learned.values(), lr=1e-3)
    losses = []
    for _ in range(12):
        loss, _ = criterion(batch_of(folder))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    after = model.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert after.keys() - before.keys() == learned.keys()
    assert not any(torch.equal(start[name], after[name]) for name in learned)


def test_a_cached_encoding_has_the_same_loss(folder: ImageMaskFolder, model: HQSam, tmp_path: Path) -> None:
    config = TrainConfig(init="sam", keep_sam=0.5)
    prepare(model, config)
    cache = EncodingCache(tmp_path, 2)
    criterion = Criterion(model, config, cache)
    first, _ = criterion(batch_of(folder, cache))
    again = batch_of(folder, cache)
    assert all(image is None for image in again.images)
    assert torch.equal(criterion(again)[0], first)
    torch.testing.assert_close(Criterion(model, config)(batch_of(folder))[0], first, atol=5e-3, rtol=0)


def test_ablations_of_early_features_are_refused(model: HQSam) -> None:
    with pytest.raises(UsageError, match="ablations"):
        prepare(model, TrainConfig(variant="fusion-early"))
