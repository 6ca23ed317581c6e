"""Run lengths from crops against pycocotools on the full mask."""

from __future__ import annotations

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hqsam_cli.formats.segmentation import decode_crop
from hqsam_cli.records import MaskCrop


def crops() -> list[MaskCrop]:
    rng = np.random.default_rng(0)
    made = []
    for _ in range(200):
        height, width = rng.integers(1, 30, 2).tolist()
        h, w = rng.integers(1, height + 1), rng.integers(1, width + 1)
        bits = rng.random((h, w)) < rng.choice([0.05, 0.5, 0.95])
        made.append(MaskCrop(bits, int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1)), width, height))
    full, empty = np.ones((7, 5), bool), np.zeros((7, 5), bool)
    strip = np.ones((7, 3), bool)  # from edge to edge: runs go on from column to column
    return [*made, *(MaskCrop(bits, 0, 0, 5, 7) for bits in (full, empty)), MaskCrop(strip, 2, 0, 5, 7)]


def test_bytes_equal_pycocotools() -> None:
    for crop in crops():
        expected = coco_mask.encode(np.asfortranarray(crop.full().astype(np.uint8)))
        assert crop.rle == {"size": expected["size"], "counts": expected["counts"].decode()}
        assert crop.rle is crop.rle  # encoded once


def test_a_crop_comes_back_tight() -> None:
    for crop in crops():
        read = decode_crop(dict(crop.rle), crop.width, crop.height)
        assert np.array_equal(read.full(), crop.full())
        assert read.bits.shape == crop.tight_box()[:1:-1]


def test_tight_box_equals_pycocotools() -> None:
    for crop in crops():
        expected = coco_mask.toBbox(coco_mask.encode(np.asfortranarray(crop.full().astype(np.uint8))))
        assert crop.tight_box() == tuple(expected) or not crop.bits.any()


def test_an_empty_crop_is_an_empty_mask() -> None:
    crop = MaskCrop(np.zeros((0, 0), bool), 0, 0, 40, 30)
    rle = crop.rle
    assert coco_mask.decode(rle).shape == (30, 40)
    assert coco_mask.area(rle) == 0
    assert crop.tight_box() == (0, 0, 0, 0)


@pytest.mark.parametrize("size", [(3000, 4000)])
def test_a_large_photo(size: tuple[int, int]) -> None:
    bits = np.random.default_rng(1).random((50, 60)) < 0.5
    crop = MaskCrop(bits, 1234, 567, size[1], size[0])
    assert np.array_equal(coco_mask.decode(crop.rle).astype(bool), crop.full())
