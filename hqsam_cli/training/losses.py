"""Losses between mask logits and masks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def mask_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy plus dice of each row, (N,).

    Args:
        logits: (N, H, W).
        target: (N, H, W) in 0 to 1.
        weight: (N, H, W) importance of each pixel in both terms, or None for 1.
    """
    logits, target = logits.float().flatten(1), target.flatten(1)
    weight = torch.ones_like(target) if weight is None else weight.flatten(1)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy = (entropy * weight).sum(1) / weight.sum(1)
    probability = logits.sigmoid()
    overlap = (probability * target * weight).sum(1)
    dice = 1 - (2 * overlap + 1) / (((probability + target) * weight).sum(1) + 1)
    return entropy + dice


def edge_weight(target: Tensor, reach: int) -> Tensor:
    """1 far from an edge, up to about 3.5 on it.

    A pixel counts more the more its neighbourhood differs from it (the weighting of F3Net, Wei et al.,
    AAAI 2020): small models otherwise settle for blobs.

    Args:
        target: (N, H, W) in 0 to 1.
        reach: half side of the neighbourhood in pixels.
    """
    mean = functional.avg_pool2d(target.unsqueeze(1), 2 * reach + 1, stride=1, padding=reach).squeeze(1)
    return 1 + 5 * (mean - target).abs()


def hard_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of thresholded masks (N, K, H, W) with (N, 1, H, W), without gradient: (N, K)."""
    with torch.no_grad():
        predicted, truth = logits > 0, target > 0.5
        overlap = (predicted & truth).flatten(2).sum(2)
        return overlap / (predicted | truth).flatten(2).sum(2).clamp(min=1)
