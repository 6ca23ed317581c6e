"""Losses on mask logits.

As in Mask2Former, losses are computed on points sampled as in PointRend (Kirillov et al., CVPR 2020): three quarters
are the most uncertain of three times as many candidates, the rest are uniform.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

POINTS = 112 * 112
CANDIDATES = 3 * POINTS
UNCERTAIN = POINTS * 3 // 4
POINT_DRAWS = CANDIDATES + POINTS - UNCERTAIN
BOUNDARY = 0.02  # fraction of the diagonal, as in boundary IoU
CONTOUR = 2  # pixels on either side of a contour that the distillation loss ignores


def mask_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy plus dice loss per row of logits, with targets in 0 to 1 and weights, (N, ...): (N,)."""
    logits, target = logits.float().flatten(1), target.flatten(1)
    weight = torch.ones_like(target) if weight is None else weight.flatten(1)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy = (entropy * weight).sum(1) / weight.sum(1).clamp(min=1)
    probability = logits.sigmoid()
    overlap = (probability * target * weight).sum(1)
    dice = 1 - (2 * overlap + 1) / (((probability + target) * weight).sum(1) + 1)
    return entropy + dice


def at_points(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinearly sample maps (N, H, W) at points (N, P, 2), x and y in 0 to 1: (N, P)."""
    grid = (2 * points - 1).unsqueeze(2)
    return functional.grid_sample(maps.unsqueeze(1), grid, mode="bilinear", align_corners=False)[:, 0, :, 0]


@torch.no_grad()
def loss_points(logits: Tensor, draws: Tensor) -> Tensor:
    """Select the points of a loss on logits (N, h, w): (N, POINTS, 2), x and y in 0 to 1.

    `draws`, (N, POINT_DRAWS, 2), are uniform random numbers; the first are `CANDIDATES`, of which the `UNCERTAIN` with
    logits nearest to 0 are taken.
    """
    candidates, anywhere = draws[:, :CANDIDATES], draws[:, CANDIDATES:]
    chosen = at_points(logits, candidates).abs().topk(UNCERTAIN, dim=1, largest=False).indices
    return torch.cat([candidates.gather(1, chosen.unsqueeze(2).expand(-1, -1, 2)), anywhere], dim=1)


def point_loss(logits: Tensor, target: Tensor, draws: Tensor, *, boundary_only: bool = False) -> Tensor:
    """Binary cross-entropy plus dice loss on PointRend's points, mean over masks: a scalar.

    Logits (N, h, w) and targets in 0 to 1, (N, H, W), may differ in resolution; for `draws` see `loss_points`. With
    `boundary_only`, only points within 2 % of the diagonal from the target's contour count.
    """
    logits = logits.float()
    points = loss_points(logits, draws)
    weight = at_points(boundary_band(target), points) if boundary_only else None
    return mask_loss(at_points(logits, points), at_points(target, points), weight).mean()


def distillation_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy plus dice loss of logits (N, h, w) to another model's masks, bool (N, h, w): a scalar.

    Pixels near contours are ignored, because the HQ mask is meant to improve them.
    """
    if not len(targets):
        return logits.float().sum()  # 0, without a gradient
    target = targets.float()
    return mask_loss(logits, target, 1 - _band(target, CONTOUR)).mean()


def boundary_band(target: Tensor) -> Tensor:
    """1 within `BOUNDARY` of the diagonal on either side of a mask's contour, else 0: (N, H, W)."""
    return _band(target, max(1, round(BOUNDARY * math.hypot(*target.shape[-2:]))))


def _band(target: Tensor, reach: int) -> Tensor:
    """1 within `reach` pixels on either side of a mask's contour, else 0: (N, H, W)."""
    inside = (target > 0.5).float()
    return _dilate(inside, reach) * _dilate(1 - inside, reach)


def _dilate(mask: Tensor, reach: int) -> Tensor:
    """Dilate masks 0 / 1 (N, H, W) with a square kernel, one axis at a time."""
    side = 2 * reach + 1
    rows = functional.max_pool2d(mask, (side, 1), stride=1, padding=(reach, 0))
    return functional.max_pool2d(rows, (1, side), stride=1, padding=(0, reach))


def hard_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of thresholded masks (N, K, H, W) and (N, 1, H, W), without gradients: (N, K)."""
    with torch.no_grad():
        predicted, gt = logits > 0, target > 0.5
        overlap = (predicted & gt).flatten(2).sum(2)
        return overlap / (predicted | gt).flatten(2).sum(2).clamp(min=1)
