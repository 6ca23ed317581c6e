"""Coarse masks as pixels, from PNG files, COCO run lengths and polygons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from ..errors import ImageError
from ..formats.prompt_files import number_or_none
from .images import decoded_image

REACH = 10  # a polygon may leave the image by so many times its longer side


def mask_pixels(source: Any, width: int, height: int) -> np.ndarray:
    """A coarse mask as bool (height, width).

    Args:
        source: path of a PNG, a COCO RLE (compressed or a list of counts), or COCO polygons.

    Raises:
        ValueError: what is wrong with it, as the end of a sentence.
    """
    if isinstance(source, dict):
        return _rle_pixels(source, width, height)
    if not isinstance(source, Path):
        return _polygon_pixels(source, width, height)
    mask = _png_pixels(source)
    _check_size(mask.shape, width, height)
    return mask


def _check_size(shape: tuple[int, ...], width: int, height: int) -> None:
    if shape != (height, width):
        raise ValueError(f"is of {shape[1]} x {shape[0]} pixels, the image of {width} x {height}")


def _png_pixels(path: Path) -> np.ndarray:
    """Where a PNG is more than half bright; of one that holds only 0 and 1, where it is 1."""
    try:
        red, green, blue = np.moveaxis(decoded_image(str(path), exif="ignore"), 2, 0)
    except ImageError as error:
        raise ValueError(f"cannot be read, {error}") from None
    bright = np.maximum(np.maximum(red, green), blue)
    return bright > (127 if bright.max() > 1 else 0)


def _rle_pixels(rle: dict[str, Any], width: int, height: int) -> np.ndarray:
    size, counts = rle.get("size"), rle.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not all(type(n) is int and 0 < n < 2**31 for n in size):
        raise ValueError("is RLE without a size [height, width]")
    _check_size(tuple(size), width, height)  # before its runs are drawn: a few bytes can claim gigabytes
    runs = _run_lengths(counts) if isinstance(counts, str) else _counted_runs(counts)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"is RLE whose runs do not make up {width} x {height} pixels")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def _counted_runs(counts: Any) -> np.ndarray:
    if not isinstance(counts, list) or not all(type(n) is int and 0 <= n < 2**31 for n in counts):
        raise ValueError("is RLE without counts")
    return np.array(counts, np.int64)


def _run_lengths(text: str) -> np.ndarray:
    """Run lengths of a compressed RLE.

    A number is groups of 5 bits, lowest first, each a character from `0` on with 32 added where more follow,
    in two's complement; from the fourth run on it is the difference to the run two before. pycocotools would
    fill a mask from too few runs with whatever the memory held, so runs are looked at before they are drawn.
    """
    codes = np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("is RLE with counts that are cut off or no RLE")
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.r_[0, ends[:-1] + 1]
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise ValueError("is RLE with counts that are no RLE")
    places = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    runs = np.add.reduceat((codes & 31) << places, starts)
    runs -= np.where(codes[ends] & 16, 1 << 5 * lengths, 0)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs


def _polygon_pixels(polygons: Any, width: int, height: int) -> np.ndarray:
    reach = REACH * max(width, height)
    if not isinstance(polygons, list) or not polygons:
        raise ValueError("is neither RLE nor polygons")
    for polygon in polygons:
        numbers = [number_or_none(n) for n in polygon] if isinstance(polygon, list) else []
        if len(numbers) < 6 or len(numbers) % 2 or any(n is None or abs(n) > reach for n in numbers):
            raise ValueError("is neither RLE nor polygons near the image")
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))).astype(bool)
