"""Upsampled crops equal the two full upsamplings."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask
from torch.nn import functional

from hqsam_cli.inference.postprocess import mask_crops, mask_crops_by_full_upsampling, probability_crops
from hqsam_cli.inference.preprocess import ResizeLongestSide, ResizeSquare

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


def plain_logits(logits: torch.Tensor, resize: ResizeLongestSide) -> torch.Tensor:
    """SAM's postprocessing: resize to the input size, remove the padding, resize to the original size; SAM 2's last."""
    if isinstance(resize, ResizeSquare):
        size = (resize.height, resize.width)
        return functional.interpolate(logits[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    full = functional.interpolate(logits[None, None], (resize.side, resize.side), mode="bilinear", align_corners=False)
    inner = full[..., : resize.input_height, : resize.input_width]
    size = (resize.height, resize.width)
    return functional.interpolate(inner, size, mode="bilinear", align_corners=False)[0, 0]


def random_logits(seed: int, side: int) -> torch.Tensor:
    """Blobs, single positive logits and masks at the border."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 1, 3 + seed % 29, 3 + seed % 29, generator=generator)
    blobs = functional.interpolate(coarse, (side, side), mode="bicubic")[0, 0] - 0.3 * (seed % 7)
    if seed % 3 == 0:
        y, x = torch.randint(side, (2,), generator=generator).tolist()
        blobs = torch.full((side, side), -0.05 - 3 * (seed % 2))
        blobs[y, x] = 8.0
    return blobs


@pytest.mark.parametrize("size", PHOTO_SIZES, ids=str)
@pytest.mark.parametrize("share", [0.2, 2.0], ids=["large-crops-by-full-upsampling", "all-cropped"])
@pytest.mark.parametrize("kind", [ResizeLongestSide, ResizeSquare])
def test_every_pixel_equals_full_upsampling(
    size: tuple[int, int], share: float, kind: type[ResizeLongestSide], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hqsam_cli.inference.postprocess.FULL_UPSAMPLING_SHARE", share)
    side = 1024
    resize = kind.of(*size, side)
    count = 6 if size[0] > 2000 else 33
    rows = torch.stack([random_logits(seed, side // 4) for seed in range(count)])
    tight, whole = mask_crops(rows, [resize] * count), mask_crops_by_full_upsampling(rows, [resize] * count)
    for logits, crop, other in zip(rows, tight, whole, strict=True):
        assert np.array_equal(crop.full(), (plain_logits(logits, resize) > 0).numpy())
        assert np.array_equal(crop.full(), other.full())
        assert crop.bits.size == other.bits.size


@pytest.mark.parametrize("size", [(480, 640), (1, 300), (97, 31), (750, 1000)], ids=str)
@pytest.mark.parametrize("kind", [ResizeLongestSide, ResizeSquare])
@pytest.mark.parametrize("on_arrays", [False, True], ids=["tensors", "arrays"])
def test_blocks_of_rows_of_a_large_image_equal_full_upsampling(
    size: tuple[int, int], kind: type[ResizeLongestSide], on_arrays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hqsam_cli.inference.postprocess.MAX_BATCH_PIXELS", size[0] * size[1] - 1)
    monkeypatch.setattr("hqsam_cli.inference.postprocess.BLOCK_PIXELS", 10_000)
    resize = kind.of(*size, 1024)
    rows = torch.stack([random_logits(seed, 256) for seed in range(9)])
    crops = mask_crops(rows.numpy(), [resize] * 9) if on_arrays else mask_crops(rows, [resize] * 9)
    for logits, crop in zip(rows, crops, strict=True):
        assert np.array_equal(crop.full(), (plain_logits(logits, resize) > 0).numpy())


@pytest.mark.parametrize(("side", "most"), [(2, 2**25), (60, 2**28)], ids=["small object", "large object"])
def test_a_mask_in_a_gigapixel_image_takes_about_its_own_pixels(side: int, most: int) -> None:
    logits = np.full((1, 256, 256), -5, np.float32)
    logits[0, 80 : 80 + side, 100 : 100 + side] = 5
    tracemalloc.start()
    try:
        (crop,) = mask_crops(logits, [ResizeLongestSide.of(25_000, 40_000, 1024)])
        area = coco_mask.area(crop.rle) if side < 10 else crop.bits.sum()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert area == pytest.approx((side * 40_000 / 256) ** 2, rel=0.2)
    assert peak < most


def test_masks_of_several_images_in_one_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hqsam_cli.inference.postprocess.MAX_BATCH_PIXELS", 2 * 40 * 30)
    rows = torch.stack([random_logits(seed, 64) for seed in range(9)])
    resizes = [ResizeLongestSide.of(*size, 256) for size in [(40, 30)] * 5 + [(20, 50)] * 3 + [(40, 30)]]
    for one, other in zip(mask_crops(rows, resizes), mask_crops_by_full_upsampling(rows, resizes), strict=True):
        assert (one.width, one.height, one.x, one.y) == (other.width, other.height, other.x, other.y)
        assert np.array_equal(one.bits, other.bits)
    assert mask_crops_by_full_upsampling(rows[:0], []) == []


def test_crops_are_tight() -> None:
    logits = torch.full((1, 256, 256), -5.0)
    logits[0, 100:110, 40:60] = 5.0
    (crop,) = mask_crops(logits, [ResizeLongestSide.of(3000, 4000, 1024)])
    assert crop.bits.size < 0.02 * 3000 * 4000
    assert crop.bits.any()


def test_logits_without_positive_values_are_an_empty_mask() -> None:
    (crop,) = mask_crops(torch.full((1, 256, 256), -1.0), [ResizeLongestSide.of(20, 30, 1024)])
    assert crop.full().shape == (20, 30)
    assert not crop.full().any()


@pytest.mark.parametrize("upsample", [mask_crops, mask_crops_by_full_upsampling])
def test_logits_that_are_positive_only_in_the_padding_are_an_empty_mask(upsample: Any) -> None:
    logits = torch.full((1, 256, 256), -5.0)
    logits[0, 250:, 10:40] = 5.0
    (crop,) = upsample(logits, [ResizeLongestSide.of(480, 640, 1024)])
    assert crop.full().shape == (480, 640) and not crop.full().any()
    assert crop.tight_box() == (0, 0, 0, 0)


@pytest.mark.parametrize("size", [(480, 640), (333, 500), (64, 64)], ids=str)
def test_probabilities_are_the_sigmoid_of_full_upsampling(size: tuple[int, int]) -> None:
    resize = ResizeLongestSide.of(*size, 1024)
    rows = 4 * torch.stack([random_logits(seed, 256) for seed in range(9)])
    for logits, crop in zip(rows, probability_crops(rows, [resize] * len(rows)), strict=True):
        full = np.zeros(size, np.uint8)
        height, width = crop.values.shape
        full[crop.y : crop.y + height, crop.x : crop.x + width] = crop.values
        plain = (255 * torch.sigmoid(plain_logits(logits, resize))).round().numpy()
        assert np.abs(full - plain).max() <= 1  # rounding of halves
        assert (full != plain).mean() < 1e-3
