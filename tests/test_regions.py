"""Parts and holes of masks."""

from __future__ import annotations

import numpy as np
import pytest

from hqsam_cli.regions import drop_parts, fill_holes


def test_small_parts_go_and_the_largest_stays_if_it_must() -> None:
    mask = np.zeros((10, 10), bool)
    mask[0:2, 0:2] = mask[5:9, 5:9] = True
    for area, keep_largest, left, dropped in (
        (4, False, 20, 0),
        (5, True, 16, 1),
        (50, True, 16, 1),
        (50, False, 0, 2),
    ):
        bits, count = drop_parts(mask, area, keep_largest=keep_largest)
        assert (bits.sum(), count) == (left, dropped)
        assert bits.dtype == bool


def test_pixels_that_touch_at_a_corner_are_one_part() -> None:
    bits, dropped = drop_parts(np.eye(6, dtype=bool), 6, keep_largest=False)
    assert (bits.sum(), dropped) == (6, 0)


@pytest.mark.parametrize(("area", "filled", "count"), [(1, 0, 0), (4, 0, 0), (5, 4, 1), (100, 4 + 9, 2)])
def test_small_holes_are_filled_and_bays_are_none(area: int, filled: int, count: int) -> None:
    mask = np.ones((12, 12), bool)
    mask[2:4, 2:4] = mask[6:9, 6:9] = False
    mask[0, 5] = False  # at the border
    bits, holes = fill_holes(mask, area)
    assert (bits.sum() - mask.sum(), holes) == (filled, count)


def test_nothing_has_neither_parts_nor_holes() -> None:
    nothing = np.zeros((0, 0), bool)
    assert drop_parts(nothing, 5, keep_largest=True)[1] == fill_holes(nothing, 5)[1] == 0
