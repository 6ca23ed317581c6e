"""Losses of mask logits.

HQ-SAM is trained like Mask2Former, on points sampled as in PointRend (Kirillov et al., CVPR 2020): three quarters of
them have the most uncertain logits among three times as many candidates, the rest is uniform.
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
BOUNDARY = 0.02  # of the diagonal, as in boundary IoU
CONTOUR = 2  # pixels on either side of a contour that distillation ignores


def mask_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Binary cross-entropy plus dice of each row of logits, targets in 0 to 1 and weights, (N, ...): (N,)."""
    logits, target = logits.float().flatten(1), target.flatten(1)
    weight = torch.ones_like(target) if weight is None else weight.flatten(1)
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    entropy = (entropy * weight).sum(1) / weight.sum(1).clamp(min=1)
    probability = logits.sigmoid()
    overlap = (probability * target * weight).sum(1)
    dice = 1 - (2 * overlap + 1) / (((probability + target) * weight).sum(1) + 1)
    return entropy + dice


def at_points(maps: Tensor, points: Tensor) -> Tensor:
    """Values of maps (N, H, W) at points (N, P, 2), x and y in 0 to 1 of each map, bilinear: (N, P)."""
    grid = (2 * points - 1).unsqueeze(2)
    return functional.grid_sample(maps.unsqueeze(1), grid, mode="bilinear", align_corners=False)[:, 0, :, 0]


@torch.no_grad()
def loss_points(logits: Tensor, draws: Tensor) -> Tensor:
    """The points a loss of logits (N, h, w) is computed on, (N, POINTS, 2), x and y in 0 to 1.

    Of `draws`, (N, POINT_DRAWS, 2) uniform random numbers, the first are `CANDIDATES`, of which the `UNCERTAIN` with
    logits nearest to 0 are taken.
    """
    candidates, anywhere = draws[:, :CANDIDATES], draws[:, CANDIDATES:]
    chosen = at_points(logits, candidates).abs().topk(UNCERTAIN, dim=1, largest=False).indices
    return torch.cat([candidates.gather(1, chosen.unsqueeze(2).expand(-1, -1, 2)), anywhere], dim=1)


def point_loss(logits: Tensor, target: Tensor, draws: Tensor, *, boundary_only: bool = False) -> Tensor:
    """Binary cross-entropy plus dice on PointRend's points, the mean over masks: a scalar.

    Logits (N, h, w) and targets in 0 to 1, (N, H, W), have any resolution; for `draws` see `loss_points`. With
    `boundary_only`, only points within 2 % of the diagonal from the target's contour count.
    """
    logits = logits.float()
    points = loss_points(logits, draws)
    weight = at_points(boundary_band(target), points) if boundary_only else None
    return mask_loss(at_points(logits, points), at_points(target, points), weight).mean()


def distillation_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy plus dice of logits (N, h, w) to the masks of another model, bool (N, h, w): a scalar.

    Pixels next to contours do not count, since those are what the HQ mask is to improve.
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
    """Dilate masks 0 / 1 (N, H, W) by a square, one axis after the other."""
    side = 2 * reach + 1
    rows = functional.max_pool2d(mask, (side, 1), stride=1, padding=(reach, 0))
    return functional.max_pool2d(rows, (1, side), stride=1, padding=(0, reach))


def hard_iou(logits: Tensor, target: Tensor) -> Tensor:
    """IoU of thresholded masks (N, K, H, W) with (N, 1, H, W), without gradient: (N, K)."""
    with torch.no_grad():
        predicted, gt = logits > 0, target > 0.5
        overlap = (predicted & gt).flatten(2).sum(2)
        return overlap / (predicted | gt).flatten(2).sum(2).clamp(min=1)
