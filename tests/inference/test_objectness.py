"""The probability that a mask is one object."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hqsam_cli.inference.objectness import SHAPE, Objectness, measure_masks

HEIGHT, WIDTH = 24, 32


def masks() -> list[np.ndarray]:
    """A square, a frame with a crumb at the border, and nothing."""
    square, frame, nothing = (np.zeros((HEIGHT, WIDTH), bool) for _ in range(3))
    square[4:12, 8:16] = True
    frame[4:12, 8:16] = True
    frame[6:10, 10:14] = False
    frame[0, 0:12] = True
    return [square, frame, nothing]


def test_shapes_are_fractions() -> None:
    measured = measure_masks(torch.zeros(3, 8, 8), masks(), [0.9, 0.8, 0.1])
    square, frame, nothing = (dict(zip(SHAPE, row.tolist(), strict=False)) for row in measured)
    assert measured.shape == (3, len(SHAPE) + 3)
    assert square == pytest.approx(
        {
            "size": (64 / HEIGHT / WIDTH) ** 0.5,
            "predicted_iou": 0.9,
            "contact": 0,
            "fill": 1,
            "compactness": 1,
            "largest_part": 1,
            "holes": 0,
        }
    )
    assert frame["fill"] == pytest.approx(60 / (12 * 16))
    assert frame["contact"] == pytest.approx((12 / WIDTH + 1 / HEIGHT) / 4)
    assert frame["largest_part"] == pytest.approx(48 / 60)
    assert frame["holes"] == pytest.approx(16 / 76)
    assert frame["compactness"] < 0.5
    assert nothing["size"] == nothing["compactness"] == 0 and nothing["predicted_iou"] == pytest.approx(0.1)


def test_embeddings_are_means_within_the_mask() -> None:
    embedding = torch.arange(64.0).view(1, 8, 8)
    bits = np.zeros((HEIGHT - 1, WIDTH), bool)  # the last row of the embedding is partly padding
    bits[4:8, 8:12] = True
    bits[20:23, 0:2] = True
    (row,) = measure_masks(embedding, [bits], [0.9])
    assert row[-1] == pytest.approx((16 * 10 + 6 * 40) / 22)


def test_the_probability_is_logistic_with_and_without_the_embedding() -> None:
    embedding = torch.ones(2, 8, 8)
    tensors = {
        "embedding.weight": np.r_[np.zeros(len(SHAPE)), 2, 1].astype(np.float32),
        "embedding.bias": np.array([-3], np.float32),
        "shape.weight": np.eye(len(SHAPE), dtype=np.float32)[SHAPE.index("predicted_iou")] * 10,
        "shape.bias": np.array([-9], np.float32),
    }
    of_embedding, of_shape = (Objectness.from_tensors(tensors, with_embedding=own) for own in (True, False))
    assert of_embedding(embedding, masks()[:2], [0.9, 0.1]) == pytest.approx([0.5, 0.5], abs=1e-6)
    assert of_shape(embedding, masks()[:2], [0.9, 0.1]) == pytest.approx([0.5, 1 / (1 + np.exp(8))], abs=1e-6)
    assert of_shape(embedding, [], []).shape == (0,)
