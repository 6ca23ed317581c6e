"""Prompts drawn from the ground truth."""

from __future__ import annotations

import numpy as np
import pytest

from hqsam_cli.errors import UsageError
from hqsam_cli.evaluation.prompts import (
    CLICKS,
    clicks_until,
    draw_prompt,
    next_click,
    prompt_rules,
    random_generator,
    tight_box,
)
from hqsam_cli.records import Prompt


@pytest.fixture
def gt() -> np.ndarray:
    mask = np.zeros((100, 140), bool)
    mask[20:60, 30:90] = True
    return mask


def drawn(text: str, gt: np.ndarray, seed: int = 0, *, inclusive: bool = False) -> list[Prompt]:
    rng = random_generator(seed, "photo")
    rules = prompt_rules(text)
    return [draw_prompt(rule, gt, rng, inclusive=inclusive, coarse=None) for rule in rules]


def test_rules_of_the_paper() -> None:
    rules = prompt_rules("points:1,3,5,5+5,10,10+5")
    assert [(r.inside, r.outside, r.trials) for r in rules] == [
        (1, 0, 1),
        (3, 0, 3),
        (5, 0, 3),
        (5, 5, 3),
        (10, 0, 3),
        (10, 5, 3),
    ]
    assert [r.label for r in rules][:2] == ["1 point", "3 points"]
    assert prompt_rules("box-noise:0.4")[0].label == "box, noise 0.4"


@pytest.mark.parametrize(
    "text", ["", "boxes", "box:1", "box-noise", "box-noise:0", "points", "points:0", "points:a", "points:3+-1"]
)
def test_what_is_no_prompt(text: str) -> None:
    with pytest.raises(UsageError, match="use box, box-noise"):
        prompt_rules(text)


def test_the_tight_box_ends_on_or_behind_the_last_pixel(gt: np.ndarray) -> None:
    assert tight_box(gt) == (30, 20, 89, 59)
    assert drawn("box", gt, inclusive=True)[0].box == (30, 20, 89, 59)
    assert drawn("box", gt)[0].box == (30, 20, 90, 60)


def test_noise_moves_and_stretches_within_its_bounds(gt: np.ndarray) -> None:
    boxes = np.array([drawn("box-noise:0.2", gt, seed)[0].box for seed in range(300)])
    sizes, centers = boxes[:, 2:] - boxes[:, :2], (boxes[:, 2:] + boxes[:, :2]) / 2
    assert (np.abs(sizes - (60, 40)) <= np.array([60, 40]) * 0.2 + 1e-9).all()
    assert (np.abs(centers - (60, 40)) <= np.array([60, 40]) * 0.1 + 1e-9).all()
    assert sizes.std(axis=0).min() > 3 and centers.std(axis=0).min() > 1


def test_points_lie_inside_and_outside(gt: np.ndarray) -> None:
    (prompt,) = drawn("points:10+5", gt)
    assert prompt.points is not None
    x, y, label = prompt.points.astype(int).T
    assert label.tolist() == [1] * 10 + [0] * 5
    assert (gt[y, x] == label).all()
    (center,) = drawn("points:1", gt)
    assert center.points is not None
    assert 40 <= center.points[0, 1] <= 41 or gt[int(center.points[0, 1]), int(center.points[0, 0])]


def test_prompts_of_an_image_depend_on_its_name_and_the_seed_alone(gt: np.ndarray) -> None:
    first, again, other = (drawn("box-noise:0.2", gt, seed)[0].box for seed in (1, 1, 2))
    assert first == again != other


def test_a_tiny_object_gives_each_pixel_once() -> None:
    mask = np.zeros((10, 10), bool)
    mask[4, 4:7] = True
    (prompt,) = drawn("points:10", mask)
    assert prompt.points is not None
    assert sorted(prompt.points[:, 0]) == [4, 5, 6]


def test_clicks_go_to_the_middle_of_the_largest_error(gt: np.ndarray) -> None:
    """A model that paints a square around each click, and unpaints one around a negative click."""
    mask, not_clicked = np.zeros_like(gt), np.ones(gt.shape, np.float32)
    clicks = []
    for _ in range(CLICKS):
        x, y, label = next_click(mask, gt, not_clicked)
        assert gt[y, x] == label and mask[y, x] != label, "a click is on an error and says what is right"
        clicks.append((x, y, label))
        mask[max(0, y - 25) : y + 25, max(0, x - 25) : x + 25] = label
    x, y, label = clicks[0]
    assert label == 1 and 39 <= y <= 40 and 49 <= x <= 70  # as deep as any pixel of the rectangle
    assert {0, 1} == {click[2] for click in clicks}
    assert len({click[:2] for click in clicks}) == CLICKS


def test_the_number_of_clicks() -> None:
    ious = [0.5, 0.81, 0.79, 0.95, *[0.9] * 16]
    assert [clicks_until(ious, target) for target in (0.8, 0.85, 0.9, 0.99)] == [2, 4, 4, 20]
