"""Scores of masks: stability, and the head that predicts their IoU."""

from __future__ import annotations

import pytest
import torch

from hqsam_cli.modeling.mask_quality import IoUHead, stability_score
from hqsam_cli.modeling.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PromptBatch
from hqsam_cli.weights.registry import build_model

from .conftest import randomized
from .test_sam import logits_of_stability


def test_stability_is_the_iou_of_a_high_and_a_low_threshold() -> None:
    logits = torch.stack([logits_of_stability(0.25), torch.full((10, 100), -3.0)])
    assert stability_score(logits).tolist() == pytest.approx([0.25, 0.0])


def test_an_untrained_head_predicts_what_sam_does_and_a_trained_one_depends_on_the_mask() -> None:
    torch.manual_seed(0)
    iou, (sam, hq) = torch.rand(3, 4), torch.randn(2, 3, 1, 16, 16)
    head = IoUHead()
    assert torch.equal(head(iou, sam, hq, sam + hq), iou[:, :1])
    head = randomized(head)
    assert not torch.allclose(head(iou, sam, hq, sam + hq), head(iou, sam, -hq, sam - hq))
    assert head(iou, sam, hq, torch.full_like(sam, -5.0)).isfinite().all(), "an empty mask"


@torch.no_grad()
def test_only_scores_of_single_masks_made_from_both_are_corrected() -> None:
    torch.manual_seed(0)
    model = randomized(build_model("vit_tiny", has_iou_head=True, image_size=128, device="cpu")).eval()
    features = model.encode(torch.randn(1, 3, 128, 128))
    corners = torch.tensor([[[8.0, 8.0], [100.0, 90.0]], [[30.0, 40.0], [60.0, 70.0]]])
    prompts = PromptBatch(
        torch.zeros(2, dtype=torch.long), corners, torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]] * 2)
    )
    outputs = ["sam", "hq", "sum", "auto"]
    found = {choice: model.predict(features, prompts, outputs, choice=choice) for choice in ("single", "best", "all")}
    model.mask_decoder.hf_iou_head = None
    for choice, corrected in found.items():
        for output, (logits, iou) in model.predict(features, prompts, outputs, choice=choice).items():
            assert torch.equal(logits, corrected[output][0])
            assert torch.equal(iou, corrected[output][1]) == (choice != "single" or output in ("sam", "hq"))
