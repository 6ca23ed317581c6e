"""Mask outputs made from the logits of SAM and of the HQ token."""

from __future__ import annotations

import pytest
import torch

from hqsam_cli.modeling.mask_quality import stability_score
from hqsam_cli.modeling.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PromptBatch
from hqsam_cli.modeling.sam import STABLE, UNSTABLE, weighted_sum
from hqsam_cli.weights.registry import build_model

from .conftest import randomized


def logits_of_stability(stability: float) -> torch.Tensor:
    """Logits (10, 100) with 1000 pixels above -1, of which the given fraction is above 1."""
    values = torch.full((1000,), 0.5)
    values[: round(1000 * stability)] = 4.0
    return values.view(10, 100)


@pytest.mark.parametrize(
    ("stability", "weight"), [(0.3, 0.0), (UNSTABLE, 0.0), ((UNSTABLE + STABLE) / 2, 0.5), (STABLE, 1.0), (1.0, 1.0)]
)
def test_stable_logits_of_sam_are_added_and_unstable_ones_are_not(stability: float, weight: float) -> None:
    sam, hq = logits_of_stability(stability), torch.randn(10, 100)
    expected = weight * sam + hq
    assert torch.allclose(weighted_sum(sam[None, None], hq[None, None])[0, 0], expected, atol=0.03)


@torch.no_grad()
@pytest.mark.parametrize("choice", ["single", "best", "all"])
def test_auto_weights_each_mask_by_its_own_stability(choice: str) -> None:
    torch.manual_seed(0)
    model = randomized(build_model("vit_tiny", image_size=128, device="cpu")).eval()
    features = model.encode(torch.randn(1, 3, 128, 128))
    corners = torch.tensor([[[8.0, 8.0], [100.0, 90.0]], [[30.0, 40.0], [60.0, 70.0]]])
    prompts = PromptBatch(
        torch.zeros(2, dtype=torch.long), corners, torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]] * 2), None
    )
    found = model.predict(features, prompts, ["auto", "hq", "sum"], choice=choice)
    (auto, iou), (hq, _), (added, iou_of_sum) = (found[name] for name in ("auto", "hq", "sum"))
    assert torch.equal(iou, iou_of_sum)
    sam = added - hq
    weight = ((stability_score(sam) - UNSTABLE) / (STABLE - UNSTABLE)).clamp(0, 1)
    assert torch.allclose(auto, weight[..., None, None] * sam + hq, atol=1e-3)
    assert torch.equal(model.predict(features, prompts, ["auto"], choice=choice)["auto"][0], auto)
