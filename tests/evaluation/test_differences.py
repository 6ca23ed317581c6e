"""Differences of rows, and how sure they are."""

from __future__ import annotations

import numpy as np
import pytest

from hqsam_cli.evaluation.differences import differences, paired_interval, table_of_differences
from hqsam_cli.evaluation.rows import Row, Samples


def samples(values: np.ndarray) -> Samples:
    return {str(n): (float(value), 1.0) for n, value in enumerate(values)}


def row(model: str, output: str, values: np.ndarray) -> Row:
    own = {"mIoU": samples(values)}
    return Row("set", "box", output, len(values), {"mIoU": float(values.mean())}, samples=own, model=model)


def test_an_interval_is_that_of_the_mean_of_paired_differences() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(70, 20, 400)
    gains = rng.normal(1, 2, 400)
    value, low, high = paired_interval(samples(base + gains), samples(base), 0)
    error = gains.std(ddof=1) / 20
    assert value == pytest.approx(gains.mean())
    assert (low, high) == pytest.approx((gains.mean() - 1.96 * error, gains.mean() + 1.96 * error), abs=0.04)
    assert (low, high) == paired_interval(samples(base + gains), samples(base), 0)[1:], "the seed decides"


def test_images_count_by_their_objects() -> None:
    ours: Samples = {"a": (270.0, 3.0), "b": (50.0, 1.0)}
    theirs: Samples = {"a": (240.0, 3.0), "b": (60.0, 1.0)}
    assert paired_interval(ours, theirs, 0)[0] == pytest.approx((320 - 300) / 4)


def test_rows_are_compared_with_sam_and_with_the_first_model() -> None:
    values = np.linspace(50, 90, 20)
    rows = [
        row(model, output, values + shift)
        for model, output, shift in (("a", "sam", 0), ("a", "sum", 2), ("b", "sam", 1), ("b", "sum", 5))
    ]
    found = [(d.row.model, d.row.output, d.against.model, d.against.output, d.value) for d in differences(rows, 0)]
    assert [(*pair[:4], round(pair[4], 6)) for pair in found] == [
        ("a", "sum", "a", "sam", 2),
        ("b", "sam", "a", "sam", 1),
        ("b", "sum", "b", "sam", 4),
        ("b", "sum", "a", "sum", 3),
    ]
    columns, cells = table_of_differences(differences(rows, 0))
    assert columns == ["model", "data set", "n", "prompt", "masks", "against", "mIoU"]
    assert cells[-1] == ["b", "set", "20", "box", "sum", "a, sum", "+3.0 [+3.0, +3.0]"]


def test_only_images_that_both_scored_are_paired() -> None:
    rows = [row("a", "sam", np.array([50.0, 60.0, 70.0])), row("a", "hq", np.array([55.0, 65.0]))]
    (found,) = differences(rows, 0)
    assert (found.images, found.value) == (2, 5.0)
