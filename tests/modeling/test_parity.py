"""Equal random weights, equal logits: our models against `segment-anything-hq` 0.3, the authors' package."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hqsam_cli.configs import MaskOutput
from hqsam_cli.modeling.prompt_encoder import (
    ABSENT,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    PADDING_POINT,
    PromptBatch,
)
from hqsam_cli.modeling.sam import ImageFeatures
from tests.modeling.conftest import Pair

TOLERANCE = 1e-4  # of the range of the logits
CORNERS = [BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]

POINTS = torch.tensor([[[200.0, 300.0], [700.5, 90.25], [512.0, 800.0]]])
POINT_LABELS = torch.tensor([[1, 0, 1]])
BOXES = torch.tensor([[100.0, 50.0, 700.0, 900.0], [3.5, 2.25, 1000.0, 40.0], [500.0, 500.0, 620.0, 610.0]])
MASK = (torch.arange(256).view(1, 1, 1, -1) > 120).float().expand(1, 1, 256, 256) * 255.0


def make_prompts(kind: str) -> tuple[PromptBatch, dict[str, Any]]:
    """The same prompts for ours and for theirs."""
    points = POINTS if "points" in kind else None
    boxes = BOXES[:1] if "box" in kind else BOXES if kind == "boxes" else None
    mask = MASK if "mask" in kind else None
    theirs = {"points": None if points is None else (points, POINT_LABELS), "boxes": boxes, "masks": mask}
    count = len(boxes) if boxes is not None else 1
    coordinates, labels = [torch.zeros(count, 0, 2)], [torch.zeros(count, 0, dtype=torch.long)]
    if points is not None:
        coordinates.append(points)
        labels.append(POINT_LABELS)
        if boxes is None:
            coordinates.append(torch.zeros(1, 1, 2))
            labels.append(torch.tensor([[PADDING_POINT]]))
    if boxes is not None:
        coordinates.append(boxes.view(-1, 2, 2))
        labels.append(torch.tensor([CORNERS]).expand(count, -1))
    index = torch.zeros(count, dtype=torch.long)
    return PromptBatch(index, torch.cat(coordinates, 1), torch.cat(labels, 1), mask), theirs


def close(ours: Tensor, theirs: Tensor) -> None:
    """Assert equality to the tolerance."""
    span = float(theirs.max() - theirs.min())
    assert span > 0
    assert float((ours - theirs).abs().max()) < TOLERANCE * span


@pytest.mark.parametrize("multimask", [False, True])
@pytest.mark.parametrize("kind", ["box", "boxes", "points", "points+box", "mask", "mask+box", "mask+points"])
@torch.no_grad()
def test_logits_of_every_prompt_equal_the_authors(pair: Pair, kind: str, multimask: bool) -> None:
    prompts, given = make_prompts(kind)
    features = pair.ours.fused(pair.embedding, pair.interm[0].permute(0, 3, 1, 2), hq=True)
    sparse, dense = pair.theirs.prompt_encoder(**given)
    shared = {
        "image_embeddings": pair.embedding,
        "image_pe": pair.theirs.prompt_encoder.get_dense_pe(),
        "sparse_prompt_embeddings": sparse,
        "dense_prompt_embeddings": dense,
        "multimask_output": multimask,
    }
    choice = "best" if multimask else "single"
    together = pair.ours.predict(features, prompts, ["sam", "sum", "hq"], choice=choice)  # type: ignore[arg-type]
    outputs: list[MaskOutput] = ["sum", "hq"]
    for output in outputs:
        expected, iou = pair.theirs.mask_decoder(**shared, hq_token_only=output == "hq", interm_embeddings=pair.interm)
        alone = pair.ours.predict(features, prompts, [output], choice=choice)  # type: ignore[arg-type]
        for logits, estimate in (alone[output], together[output]):
            close(logits, expected)
            close_iou(estimate, iou)

    expected, iou = pair.baseline.mask_decoder(**shared, hq_token_only=False, interm_embeddings=None)
    plain = ImageFeatures(pair.embedding, None)
    logits, estimate = pair.ours.predict(plain, prompts, ["sam"], choice="all" if multimask else "single")["sam"]
    close(logits, expected)
    close_iou(estimate, iou)


def close_iou(ours: Tensor, theirs: Tensor) -> None:
    """Assert equality of predicted IoUs, relative to their magnitude."""
    assert float((ours - theirs).abs().max()) < TOLERANCE * (1 + float(theirs.abs().max()))


@torch.no_grad()
def test_image_features_equal_the_authors(pair: Pair) -> None:
    embedding, early = pair.ours.image_encoder(pair.image)
    close(embedding, pair.embedding)
    close(early, pair.interm[0].permute(0, 3, 1, 2))


@torch.no_grad()
def test_a_padded_batch_of_two_images_equals_single_calls(pair: Pair) -> None:
    """A box, three points, a box with a mask, and a mask, of two images, in one batch."""
    early = pair.interm[0].permute(0, 3, 1, 2)
    other = (pair.embedding.flip(2), early.flip(2))
    both = pair.ours.fused(torch.cat([pair.embedding, other[0]]), torch.cat([early, other[1]]), hq=True)
    singles = [make_prompts(kind)[0] for kind in ("box", "points", "mask+box", "mask")]
    images = [0, 1, 1, 0]
    longest = max(p.points.shape[1] for p in singles)
    points, labels = torch.zeros(4, longest, 2), torch.full((4, longest), ABSENT)
    masks, has_mask = torch.zeros(4, 1, 256, 256), torch.zeros(4, dtype=torch.bool)
    for row, single in enumerate(singles):
        count = single.points.shape[1]
        points[row, :count], labels[row, :count] = single.points[0], single.labels[0]
        if single.masks is not None:
            masks[row], has_mask[row] = single.masks[0], True
    flat = PromptBatch(torch.tensor(images), points, labels, masks, has_mask, ragged=True)
    logits, iou = pair.ours.predict(both, flat, ["sum"])["sum"]
    for row, (single, image) in enumerate(zip(singles, images, strict=True)):
        alone, alone_iou = pair.ours.predict(both.rows(image, image), single, ["sum"])["sum"]
        close(logits[row], alone[0])
        close_iou(iou[row], alone_iou[0])
