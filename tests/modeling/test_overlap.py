"""Intersection over union of masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hqsam_cli.modeling.overlap import iou, mask_iou


def test_batches_of_arrays_and_tensors_and_pairs_agree_except_where_both_are_empty() -> None:
    generator = np.random.default_rng(0)
    one, other = (generator.random((4, 9, 7)) < 0.4 for _ in range(2))
    one[3] = other[3] = False
    expected = [iou(a, b) for a, b in zip(one, other, strict=True)]
    assert expected[3] == 1 and 0 < min(expected) < max(expected[:3]) < 1
    for found in (mask_iou(one, other), mask_iou(torch.from_numpy(one), torch.from_numpy(other)).numpy()):
        assert found.tolist() == pytest.approx([*expected[:3], 0])
