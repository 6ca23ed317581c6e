"""The tight upsampling gives every pixel of the plain one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from hqsam_cli.inference.postprocess import mask_crops, mask_crops_by_full_upsampling, probability_crops
from hqsam_cli.inference.preprocess import ResizeLongestSide

PHOTO_SIZES = [
    (480, 640),
    (1080, 810),
    (333, 500),
    (3000, 4000),
    (64, 64),
    (1, 300),
    (700, 9),
    (1024, 1024),
    (97, 31),
]


def plain_logits(logits: torch.Tensor, frame: ResizeLongestSide) -> torch.Tensor:
    """SAM's own post-processing: resize to the frame, cut the padding off, resize to the photo."""
    full = functional.interpolate(logits[None, None], (frame.side, frame.side), mode="bilinear", align_corners=False)
    inner = full[..., : frame.input_height, : frame.input_width]
    size = (frame.height, frame.width)
    return functional.interpolate(inner, size, mode="bilinear", align_corners=False)[0, 0]


def random_logits(seed: int, side: int) -> torch.Tensor:
    """Blobs, single samples and masks that touch the border."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 1, 3 + seed % 29, 3 + seed % 29, generator=generator)
    blobs = functional.interpolate(coarse, (side, side), mode="bicubic")[0, 0] - 0.3 * (seed % 7)
    if seed % 3 == 0:
        y, x = torch.randint(side, (2,), generator=generator).tolist()
        blobs = torch.full((side, side), -0.05 - 3 * (seed % 2))
        blobs[y, x] = 8.0
    return blobs


@pytest.mark.parametrize("size", PHOTO_SIZES, ids=str)
@pytest.mark.parametrize("whole_share", [0.2, 2.0], ids=["large-ones-whole", "all-tight"])
def test_every_pixel_is_that_of_the_plain_resize(
    size: tuple[int, int], whole_share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hqsam_cli.inference.postprocess.FULL_UPSAMPLING_SHARE", whole_share)
    side = 1024
    frame = ResizeLongestSide.of(*size, side)
    count = 6 if size[0] > 2000 else 33
    rows = torch.stack([random_logits(seed, side // 4) for seed in range(count)])
    tight, whole = mask_crops(rows, [frame] * count), mask_crops_by_full_upsampling(rows, [frame] * count)
    for logits, crop, other in zip(rows, tight, whole, strict=True):
        assert np.array_equal(crop.full(), (plain_logits(logits, frame) > 0).numpy())
        assert np.array_equal(crop.full(), other.full())
        assert crop.bits.size == other.bits.size


def test_masks_of_several_photos_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hqsam_cli.inference.postprocess.MAX_BATCH_PIXELS", 2 * 40 * 30)
    rows = torch.stack([random_logits(seed, 64) for seed in range(9)])
    frames = [ResizeLongestSide.of(*size, 256) for size in [(40, 30)] * 5 + [(20, 50)] * 3 + [(40, 30)]]
    for one, other in zip(mask_crops(rows, frames), mask_crops_by_full_upsampling(rows, frames), strict=True):
        assert (one.width, one.height, one.x, one.y) == (other.width, other.height, other.x, other.y)
        assert np.array_equal(one.bits, other.bits)
    assert mask_crops_by_full_upsampling(rows[:0], []) == []


def test_the_work_is_as_small_as_the_mask() -> None:
    logits = torch.full((1, 256, 256), -5.0)
    logits[0, 100:110, 40:60] = 5.0
    (crop,) = mask_crops(logits, [ResizeLongestSide.of(3000, 4000, 1024)])
    assert crop.bits.size < 0.02 * 3000 * 4000
    assert crop.bits.any()


def test_no_positive_logit_is_an_empty_mask() -> None:
    (crop,) = mask_crops(torch.full((1, 256, 256), -1.0), [ResizeLongestSide.of(20, 30, 1024)])
    assert crop.full().shape == (20, 30)
    assert not crop.full().any()


@pytest.mark.parametrize("size", [(480, 640), (333, 500), (64, 64)], ids=str)
def test_alpha_is_the_sigmoid_of_the_plain_resize(size: tuple[int, int]) -> None:
    frame = ResizeLongestSide.of(*size, 1024)
    rows = 4 * torch.stack([random_logits(seed, 256) for seed in range(9)])
    for logits, crop in zip(rows, probability_crops(rows, [frame] * len(rows)), strict=True):
        full = np.zeros(size, np.uint8)
        height, width = crop.values.shape
        full[crop.y : crop.y + height, crop.x : crop.x + width] = crop.values
        plain = (255 * torch.sigmoid(plain_logits(logits, frame))).round().numpy()
        assert np.abs(full - plain).max() <= 1  # where a half is rounded up or down
        assert (full != plain).mean() < 1e-3
