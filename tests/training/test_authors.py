"""Ten steps of training beside the authors' decoder, with a loss written down a second time, point by point."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hqsam_cli.configs import TrainConfig
from hqsam_cli.modeling.prompt_encoder import ABSENT, BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, FOREGROUND_POINT, PADDING_POINT
from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.training.criterion import Criterion
from hqsam_cli.training.data import Batch
from hqsam_cli.training.losses import POINT_DRAWS
from hqsam_cli.training.variants import prepare
from hqsam_cli.weights.conversion import HQ_MODULES

DIM = 768  # vit_b
LR = 1e-3


class Injected(nn.Module):
    """An image encoder that returns what it was given."""

    def __init__(self, embedding: Tensor, early: Tensor) -> None:
        super().__init__()
        self.features = embedding, early

    def forward(self, _images: Tensor) -> tuple[Tensor, Tensor]:
        return self.features


class Theirs:
    """The authors' prompt encoder and decoder, trained as in their script: image by image, HQ logits alone."""

    def __init__(self, side: int) -> None:
        warnings.simplefilter("ignore")
        from segment_anything_hq.modeling import PromptEncoder, TwoWayTransformer
        from segment_anything_hq.modeling.mask_decoder_hq import MaskDecoderHQ

        torch.manual_seed(0)
        transformer = TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)
        self.prompts = PromptEncoder(256, (side, side), (16 * side, 16 * side), 16)
        self.decoder = MaskDecoderHQ(transformer_dim=256, transformer=transformer, num_multimask_outputs=3, vit_dim=DIM)
        learned = [p for n, p in self.decoder.named_parameters() if n.split(".")[0] in HQ_MODULES]
        self.optimizer = torch.optim.Adam(learned, lr=LR)

    def state(self) -> dict[str, Tensor]:
        parts = {"prompt_encoder": self.prompts, "mask_decoder": self.decoder}
        return {f"{name}.{k}": v.clone() for name, part in parts.items() for k, v in part.state_dict().items()}

    def logits(self, embedding: Tensor, early: Tensor, given: dict[str, Any]) -> Tensor:
        with torch.no_grad():
            sparse, dense = self.prompts(**given)
        masks, _ = self.decoder(
            image_embeddings=embedding,
            image_pe=self.prompts.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            hq_token_only=True,
            interm_embeddings=[early.permute(0, 2, 3, 1)],
        )
        return masks[0, 0]


def value_at(image: Tensor, points: Tensor) -> Tensor:
    """Bilinear values of (H, W) at (P, 2) x and y in 0 to 1, zero outside, tap by tap."""
    height, width = image.shape
    x, y = points[:, 0] * width - 0.5, points[:, 1] * height - 0.5
    total = torch.zeros(len(points))
    for dy in (0, 1):
        for dx in (0, 1):
            column, row = x.floor().long() + dx, y.floor().long() + dy
            weight = (1 - (x - column).abs()) * (1 - (y - row).abs())
            there = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            total = total + weight * there * image[row.clamp(0, height - 1), column.clamp(0, width - 1)]
    return total


def literal_loss(logits: Tensor, target: Tensor, draws: Tensor) -> Tensor:
    """BCE plus dice of one mask on 12 544 points: 9 408 of 37 632 by uncertainty, 3 136 as they are."""
    candidates, anywhere = draws[:37632], draws[37632:]
    uncertainty = -value_at(logits.detach(), candidates).abs()
    points = torch.cat([candidates[uncertainty.argsort(descending=True)[:9408]], anywhere])
    predicted, gt = value_at(logits, points), value_at(target, points)
    probability = torch.sigmoid(predicted)
    entropy = -(gt * nn.functional.logsigmoid(predicted) + (1 - gt) * nn.functional.logsigmoid(-predicted))
    dice = 1 - (2 * (probability * gt).sum() + 1) / (probability.sum() + gt.sum() + 1)
    return entropy.mean() + dice


def batch_of_three(side: int) -> tuple[Batch, list[dict[str, Any]]]:
    """A box, four points and a coarse mask, for us and for them, with soft targets and random loss points."""
    generator = torch.Generator().manual_seed(3)
    frame = 16 * side
    box = torch.tensor([[0.2, 0.1], [0.7, 0.8]]) * frame
    four = torch.rand(4, 2, generator=generator) * frame
    coarse = (torch.rand(1, 1, frame // 4, frame // 4, generator=generator) > 0.5) * 255.0
    points, labels = torch.zeros(3, 5, 2), torch.full((3, 5), ABSENT)
    points[0, :2], labels[0, :2] = box, torch.tensor([BOX_TOP_LEFT, BOX_BOTTOM_RIGHT])
    points[1, :4], labels[1, :4], labels[1, 4] = four, FOREGROUND_POINT, PADDING_POINT
    blobs = nn.functional.interpolate(torch.rand(3, 1, 5, 5, generator=generator), (frame, frame), mode="bicubic")
    ours = Batch(
        numbers=[0, 1, 2],
        images=[torch.zeros(3, 8, 8, dtype=torch.uint8)] * 3,
        encoded=[None] * 3,
        objects=[np.zeros((1, 8, 8), bool)] * 3,
        picks=[0.0] * 3,
        problems=[],
        masks=(((blobs[:, 0] - 0.5) * 20).sigmoid() * 255).to(torch.uint8),
        points=points,
        labels=labels,
        coarse=torch.cat([torch.zeros(2, 1, frame // 4, frame // 4), coarse]),
        has_coarse=torch.tensor([False, False, True]),
        draws=torch.rand(3, POINT_DRAWS, 2, generator=generator),
    )
    theirs: list[dict[str, Any]] = [
        {"points": None, "boxes": box.view(1, 4), "masks": None},
        {"points": (four[None], torch.ones(1, 4)), "boxes": None, "masks": None},
        {"points": None, "boxes": None, "masks": coarse},
    ]
    return ours, theirs


@pytest.mark.parametrize("side, steps", [(16, 10), (64, 1)])
def test_losses_equal_the_authors(side: int, steps: int, one_thread: None) -> None:
    """On one thread: how sums are split decides how they round, and Adam makes much of little."""
    theirs = Theirs(side)
    generator = torch.Generator().manual_seed(1)
    embedding = torch.randn(3, 256, side, side, generator=generator)
    early = torch.randn(3, DIM, side, side, generator=generator)
    ours = HQSam(Injected(embedding, early), DIM, image_size=16 * side)
    ours.load_state_dict(theirs.state())
    prepare(ours, TrainConfig())
    objective = Criterion(ours.eval(), TrainConfig())
    optimizer = torch.optim.Adam([p for p in ours.parameters() if p.requires_grad], lr=LR)
    batch, given = batch_of_three(side)

    losses = []
    for _ in range(steps):
        loss, _ = objective(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        parts = [
            literal_loss(
                theirs.logits(embedding[i : i + 1], early[i : i + 1], given[i]),
                batch.masks[i] / 255,
                batch.draws[i],
            )
            for i in range(3)
        ]
        expected = sum(parts[1:], parts[0]) / 3
        theirs.optimizer.zero_grad()
        expected.backward()
        theirs.optimizer.step()
        losses.append((float(loss), float(expected)))
    assert all(abs(ours - theirs) < 1e-4 for ours, theirs in losses), losses
    if steps > 1:
        assert losses[-1][0] < losses[0][0] - 0.1  # something was learned
