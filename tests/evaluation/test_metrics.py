"""The fast boundary against the erosion that defines it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hqsam_cli.evaluation.metrics import boundary, boundary_iou, boundary_width, contour_f, rank_correlation
from hqsam_cli.modeling.overlap import iou


def eroded_boundary(mask: np.ndarray, width: int) -> np.ndarray:
    """The definition: the mask without its iterated 3 x 3 erosion on a zero-padded copy."""
    padded = np.pad(mask.astype(np.uint8), 1)
    eroded = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)
    return mask & (eroded[1:-1, 1:-1] == 0)


def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    noise = cv2.GaussianBlur(rng.normal(size=(120, 170)), (0, 0), 6)
    thin = np.zeros((120, 170), np.uint8)
    cv2.line(thin, (3, 5), (160, 110), 1, 1)
    cv2.circle(thin, (60, 60), 40, 1, 3)
    return [
        noise > 0,
        noise > 0.05,
        thin > 0,
        rng.random((120, 170)) > 0.2,
        np.ones((120, 170), bool),
        np.zeros((120, 170), bool),
        np.pad(np.ones((60, 60), bool), ((0, 60), (0, 110))),
    ]


@pytest.mark.parametrize("width", [1, 2, 4, 11, 40])
def test_boundary_is_bit_identical_to_erosion(width: int) -> None:
    for mask in masks():
        assert np.array_equal(boundary(mask, width), eroded_boundary(mask, width))


def test_width_is_two_percent_of_the_diagonal() -> None:
    assert boundary_width(300, 400) == 10
    assert boundary_width(5, 5) == 1


def test_scores_of_known_masks() -> None:
    square = np.zeros((100, 100), bool)
    square[20:80, 20:80] = True
    half = square.copy()
    half[50:] = False
    empty = np.zeros_like(square)
    assert iou(half, square) == 0.5
    assert iou(empty, empty) == boundary_iou(empty, empty) == 1.0
    assert iou(empty, square) == boundary_iou(empty, square) == 0.0
    assert boundary_iou(square, square) == 1.0
    # d = 3: frames of 60 and of 30 x 60 pixels share the part of the larger one above row 50 less its corner.
    outer, inner = 60 * 60 - 54 * 54, 30 * 60 - 24 * 54
    common = 3 * 60 + 2 * 27 * 3
    assert boundary_iou(half, square) == pytest.approx(common / (outer + inner - common))


def literal_f(predicted: np.ndarray, gt: np.ndarray, radius: int) -> float:
    """DAVIS' F by distances: a contour pixel counts where the other contour is within `radius`."""

    def contour(mask: np.ndarray) -> np.ndarray:
        height, width = mask.shape
        edge = np.zeros_like(mask)
        for y in range(height):
            for x in range(width):
                east, south = min(x + 1, width - 1), min(y + 1, height - 1)
                around = [mask[y, east], mask[south, x], mask[south, east]]
                if y == height - 1:
                    around = [mask[y, east]]
                if x == width - 1:
                    around = [mask[south, x]]
                edge[y, x] = any(other != mask[y, x] for other in around)
        edge[-1, -1] = False
        return edge

    def share(one: np.ndarray, other: np.ndarray) -> float:
        here, there = np.argwhere(one), np.argwhere(other)
        distances = np.sqrt(((here[:, None] - there[None]) ** 2).sum(axis=2)).min(axis=1)
        return float((distances <= radius).mean())

    ours, theirs = contour(predicted), contour(gt)
    precision, recall = share(ours, theirs), share(theirs, ours)
    return 2 * precision * recall / (precision + recall)


def test_contour_f_is_the_definition() -> None:
    rng = np.random.default_rng(1)
    noise = cv2.GaussianBlur(rng.normal(size=(70, 90)), (0, 0), 5)
    shifted = np.roll(noise, (2, 3), (0, 1))
    radius = int(np.ceil(0.03 * np.hypot(70, 90)))
    for predicted, gt in (((noise > 0), (shifted > 0)), ((noise > 0.03), (noise > 0)), ((noise > 0), (noise > 0))):
        assert contour_f(predicted, gt, 0.03) == pytest.approx(literal_f(predicted, gt, radius))
    empty = np.zeros((70, 90), bool)
    assert contour_f(empty, empty) == 1.0
    assert contour_f(empty, noise > 0) == 0.0


def test_rank_correlation_is_that_of_mean_ranks() -> None:
    assert rank_correlation([0.1, 0.2, 0.9], [1, 10, 11]) == pytest.approx(1)
    assert rank_correlation([0.1, 0.2, 0.9], [3, 2, 1]) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, variances 4.5 and 5.
    assert rank_correlation([0, 5, 5, 7], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert rank_correlation([0.5, 0.5], [0, 1]) is None
