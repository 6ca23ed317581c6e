"""Connected components, holes and outlines of masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hqsam_cli.configs import CleanConfig
from hqsam_cli.inference.regions import clean, fill_holes, remove_small_regions, smooth
from hqsam_cli.records import MaskCrop


def test_small_regions_are_removed_except_the_largest() -> None:
    mask = np.zeros((10, 10), bool)
    mask[0:2, 0:2] = mask[5:9, 5:9] = True
    for area, keep_largest, left, dropped in (
        (4, False, 20, 0),
        (5, True, 16, 1),
        (50, True, 16, 1),
        (50, False, 0, 2),
    ):
        bits, count = remove_small_regions(mask, area, keep_largest=keep_largest)
        assert (bits.sum(), count) == (left, dropped)
        assert bits.dtype == bool


def test_components_are_8_connected() -> None:
    bits, dropped = remove_small_regions(np.eye(6, dtype=bool), 6, keep_largest=False)
    assert (bits.sum(), dropped) == (6, 0)


@pytest.mark.parametrize(("area", "filled", "count"), [(1, 0, 0), (4, 0, 0), (5, 4, 1), (100, 4 + 9, 2)])
def test_small_holes_are_filled_but_not_bays(area: int, filled: int, count: int) -> None:
    mask = np.ones((12, 12), bool)
    mask[2:4, 2:4] = mask[6:9, 6:9] = False
    mask[0, 5] = False  # at the border
    bits, holes = fill_holes(mask, area)
    assert (bits.sum() - mask.sum(), holes) == (filled, count)


def test_empty_arrays_are_accepted() -> None:
    nothing = np.zeros((0, 0), bool)
    assert remove_small_regions(nothing, 5, keep_largest=True)[1] == fill_holes(nothing, 5)[1] == 0


def a_wheel() -> np.ndarray:
    """A rim with spokes of one pixel, a hub, and a leg; uint8."""
    canvas = np.zeros((90, 90), np.uint8)
    cv2.circle(canvas, (45, 45), 30, 1, 3)
    cv2.circle(canvas, (45, 45), 6, 1, -1)
    for angle in np.arange(0, np.pi, np.pi / 6):
        x, y = 29 * np.cos(angle), 29 * np.sin(angle)
        cv2.line(canvas, (round(45 - x), round(45 - y)), (round(45 + x), round(45 + y)), 1, 1)
    cv2.line(canvas, (45, 75), (52, 89), 1, 1)
    return canvas


def test_smoothing_preserves_thin_structures() -> None:
    wheel = a_wheel()
    smoothed = smooth(wheel.astype(bool))
    square = np.ones((3, 3), np.uint8)
    thick = np.asarray(cv2.dilate(cv2.morphologyEx(wheel, cv2.MORPH_OPEN, square), square))
    spokes = wheel & (thick == 0)
    assert spokes.sum() > 200
    assert (smoothed & spokes).sum() == spokes.sum()
    assert cv2.connectedComponents(smoothed.astype(np.uint8))[0] == 2  # connected
    gap = ~np.eye(60, dtype=bool)  # a gap of one pixel
    assert not smooth(gap).diagonal().any()


def test_smoothing_removes_noise_at_the_outline() -> None:
    y, x = np.mgrid[:120, :120]
    distance = np.hypot(x - 60, y - 60)
    disc, near = distance < 40, abs(distance - 40) < 1
    ragged = disc ^ (near & (np.random.default_rng(0).random(disc.shape) < 0.3))
    again = smooth(ragged)
    assert (again ^ disc).sum() < (ragged ^ disc).sum() / 2


def around(bits: np.ndarray, x: int, y: int) -> MaskCrop:
    return MaskCrop(bits, x, y, 100, 80)


def test_areas_are_in_pixels_or_percent_of_the_mask() -> None:
    bits = np.zeros((40, 40), bool)
    bits[:30, :30] = True
    bits[10:14, 10:14] = bits[20, 20] = False  # holes of 16 and of 1
    bits[35:38, 35:38] = bits[35, 0] = True  # parts of 9 and of 1
    mask = around(bits, 20, 10)
    total = int(bits.sum())
    for config, area in (
        (CleanConfig(), total),
        (CleanConfig(raw=True, min_region="10"), total),
        (CleanConfig(min_region="9"), total - 1),
        (CleanConfig(min_region="10"), total - 10),
        (CleanConfig(min_region="2%"), total - 10),
        (CleanConfig(min_region="0.5%"), total - 1),
        (CleanConfig(largest_part=True), total - 10),
        (CleanConfig(fill_holes="16"), total + 1),
        (CleanConfig(fill_holes="2%"), total + 17),
        (CleanConfig(fill_holes="2%", min_region="2%"), 900),
    ):
        cleaned = clean(mask, config)
        assert cleaned.full().shape == (80, 100)
        assert cleaned.full().sum() == area, config


@pytest.mark.parametrize(("x", "y"), [(0, 0), (60, 50), (30, 20), (57, 48)])
def test_smoothing_a_crop_equals_smoothing_the_full_mask(x: int, y: int) -> None:
    blobs = cv2.GaussianBlur(np.random.default_rng(0).random((30, 40)), (0, 0), 1.5) > 0.5
    mask = around(blobs, x, y)
    assert np.array_equal(clean(mask, CleanConfig(smooth=True)).full(), smooth(mask.full()))


def test_specks_below_a_thousandth_of_a_mask_are_removed_by_default() -> None:
    bits = np.zeros((60, 60), bool)
    bits[:50, :44] = bits[58:, 58:] = bits[55, 55] = True  # 2200 pixels, a part of 4 and one of 1
    bits[10:12, 10:12] = bits[20, 20] = False  # holes stay
    kept = bits.copy()
    kept[55, 55] = False
    mask = around(bits, 20, 10)
    assert np.array_equal(clean(mask, CleanConfig()).full(), around(kept, 20, 10).full())
    assert np.array_equal(clean(mask, CleanConfig(raw=True)).full(), mask.full())


def test_cleaning_never_empties_a_mask() -> None:
    everything = CleanConfig(smooth=True, min_region="1000", fill_holes="100%")
    for bits in (np.ones((1, 1), bool), np.eye(3, dtype=bool), np.ones((2, 2), bool)):
        assert clean(around(bits, 50, 40), everything).bits.any()
    assert not clean(around(np.zeros((0, 0), bool), 0, 0), everything).bits.any()
