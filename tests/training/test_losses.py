"""Losses, and where PointRend looks."""

from __future__ import annotations

import pytest
import torch

from hqsam_cli.training.losses import (
    CANDIDATES,
    POINT_DRAWS,
    POINTS,
    UNCERTAIN,
    at_points,
    boundary_band,
    distillation_loss,
    loss_points,
    mask_loss,
    point_loss,
)


def disc(side: int, radius: float) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return (((x - side / 2 + 0.5) ** 2 + (y - side / 2 + 0.5) ** 2) < (radius * side) ** 2).float()[None]


def test_loss_is_small_for_the_gt_and_large_for_its_opposite() -> None:
    target = (torch.arange(64).view(1, 8, 8) % 3 == 0).float()
    assert float(mask_loss(20 * (target - 0.5), target)) < 0.01
    assert float(mask_loss(20 * (0.5 - target), target)) > 5


def test_points_are_read_between_pixels() -> None:
    maps = torch.tensor([[[0.0, 1.0], [2.0, 3.0]]])
    points = torch.tensor([[[0.25, 0.25], [0.5, 0.5], [0.75, 0.25], [0.25, 0.75]]])
    torch.testing.assert_close(at_points(maps, points), torch.tensor([[0.0, 1.5, 1.0, 2.0]]))


def test_three_quarters_of_the_points_are_where_it_is_least_certain() -> None:
    assert (POINTS, CANDIDATES, UNCERTAIN, POINT_DRAWS) == (12544, 37632, 9408, 40768)
    logits = torch.linspace(-8, 8, 32).expand(1, 32, 32)  # crosses zero in the middle
    draws = torch.rand(1, POINT_DRAWS, 2, generator=torch.Generator().manual_seed(0))
    points = loss_points(logits, draws)
    assert points.shape == (1, POINTS, 2)
    # A quarter of the candidates, around the middle column; the rest as they were drawn. (Along the edges of
    # the map values fade out, so there more points are uncertain.)
    chosen = points[0, :UNCERTAIN]
    inner = chosen[(chosen - 0.5).abs().max(dim=1).values < 0.45]
    assert len(inner) > 0.85 * UNCERTAIN
    assert float((inner[:, 0] - 0.5).abs().max()) < 0.13
    assert torch.equal(points[:, UNCERTAIN:], draws[:, CANDIDATES:])


def test_prediction_and_target_may_differ_in_resolution() -> None:
    draws = torch.rand(1, POINT_DRAWS, 2, generator=torch.Generator().manual_seed(0))
    good = point_loss(20 * (disc(64, 0.3) - 0.5), disc(256, 0.3), draws)
    assert float(good) < 0.3 < 2 < float(point_loss(20 * (disc(64, 0.1) - 0.5), disc(256, 0.4), draws))


def test_the_boundary_band_is_two_percent_on_either_side() -> None:
    target = torch.zeros(1, 100, 100)
    target[:, :, 50:] = 1
    band = boundary_band(target)[0, 40]
    assert band.nonzero().flatten().tolist() == list(range(47, 53))


def test_boundary_loss_ignores_what_lies_inside() -> None:
    draws = torch.rand(1, POINT_DRAWS, 2, generator=torch.Generator().manual_seed(0))
    target = disc(128, 0.4)
    hollow = 20 * (target - disc(128, 0.2) - 0.5)
    assert float(point_loss(hollow, target, draws)) > 1
    assert float(point_loss(hollow, target, draws, boundary_only=True)) < 0.5


def test_what_another_model_says_counts_but_for_its_contour() -> None:
    targets = disc(64, 0.3) > 0.5
    wider, elsewhere = disc(64, 0.3 + 1.5 / 64), torch.roll(disc(64, 0.3), 12, dims=2)
    right, finer, wrong = (
        float(distillation_loss(20 * (mask - 0.5), targets)) for mask in (targets.float(), wider, elsewhere)
    )
    assert finer == pytest.approx(right, abs=1e-6)
    assert wrong > right + 1
