"""SAM beside HQ-SAM."""

from __future__ import annotations

import numpy as np

from hqsam_cli.records import MaskCrop
from hqsam_cli.report.pictures import ONLY_HQ, ONLY_SAM, PANEL, compared


def test_what_differs_is_colored_and_magnified() -> None:
    own, sam = np.zeros((500, 1000), bool), np.zeros((500, 1000), bool)
    own[100:200, 100:200] = sam[100:200, 100:200] = True
    own[100:140, 200:240] = True
    sam[300:310, 600:610] = True
    photo = np.full((500, 1000, 3), 120, np.uint8)
    crop = MaskCrop(sam, 0, 0, 1000, 500)
    picture = compared(photo, [own], [{"sam": {"segmentation": crop.rle}}])
    difference = picture[:, 2 * picture.shape[1] // 3 :]
    hq, plain = ((difference == color).all(axis=2) for color in (ONLY_HQ, ONLY_SAM))
    above = slice(0, 500 + difference.shape[0] // 16)  # the title and the whole, without the insets
    assert 0.8 * 1600 < hq[above].sum() < 1.2 * 1600
    # Each place has an inset: half a panel shows a sixth of the longer side.
    times = (PANEL / 2 / (1000 // 6)) ** 2
    assert hq.sum() - hq[above].sum() > 0.8 * times * 1600
    assert plain.sum() - plain[above].sum() > 0.6 * times * 100


def test_masks_that_are_equal_have_no_difference() -> None:
    mask = np.zeros((60, 80), bool)
    mask[20:40, 20:60] = True
    rle = MaskCrop(mask, 0, 0, 80, 60).rle
    picture = compared(np.full((60, 80, 3), 50, np.uint8), [mask], [{"sam": {"segmentation": rle}}])
    assert not any((picture == color).all(axis=2).any() for color in (ONLY_HQ, ONLY_SAM))
