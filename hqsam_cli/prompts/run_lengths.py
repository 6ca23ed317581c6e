"""Run-length encodings of masks other than COCO's, all row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..configs import DEFAULT_MAX_PIXELS
from ..formats.values import dict_or_empty, integer, list_or_empty
from .boxes import Size

BRUSH_CHANNELS, BRUSH_BITS = 4, 8  # RGBA; alpha is the mask


def expand(values: Sequence[int] | np.ndarray, runs: Sequence[int] | np.ndarray, size: Size) -> np.ndarray | None:
    """The pixels (height, width) of values and how often each is repeated; None if they are not of that size.

    Args:
        size: width and height; checked first, as a few bytes can claim gigabytes.
    """
    lengths, pixels = np.asarray(runs, np.int64), size[0] * size[1]
    if pixels > DEFAULT_MAX_PIXELS or (lengths < 0).any() or lengths.sum() != pixels:
        return None
    return np.repeat(np.asarray(values), lengths).reshape(size[1], size[0])


def decode_brush(coded: Any, size: Size) -> np.ndarray | None:
    """Decode a brush of Label Studio to a mask, bool (height, width); None if it is not of that size.

    The bytes are a stream of bits: the count of values in 32 bits, their width less 1 in 5, and four widths of lengths
    less 1 in 4 each. Then follow runs: 1 for a repeated value or 0 for single ones, the index of the width of its
    length in 2 bits, the length less 1, and the value or values.
    """
    width, height = size
    if not isinstance(coded, list) or not all(isinstance(n, int) and 0 <= n < 256 for n in coded):
        return None
    content = bytes(coded)
    bits, place = np.unpackbits(np.frombuffer(content, np.uint8)), 0

    def take(count: int) -> int:
        nonlocal place
        window = int.from_bytes(content[place // 8 : (place + count + 7) // 8], "big")
        place += count
        return window >> -place % 8 & ((1 << count) - 1)

    total, value_bits, lengths = take(32), take(5) + 1, [take(4) + 1 for _ in range(4)]
    if total != BRUSH_CHANNELS * width * height or value_bits != BRUSH_BITS or width * height > DEFAULT_MAX_PIXELS:
        return None
    alpha, start = np.zeros(width * height, np.uint8), 0
    while start < total:
        repeated, own = take(1), take(lengths[take(2)]) + 1
        end = min(start + own, total)
        first, last = start // BRUSH_CHANNELS, end // BRUSH_CHANNELS  # pixels whose alpha is in the run
        count = 1 if repeated else end - start
        if place + count * BRUSH_BITS > len(bits):
            return None
        values = np.packbits(bits[place : place + count * BRUSH_BITS])
        place += count * BRUSH_BITS
        alpha[first:last] = (
            values[0] if repeated else values[BRUSH_CHANNELS * (first + 1) - 1 - start :: BRUSH_CHANNELS]
        )
        start = end
    return alpha.reshape(height, width) > 0


def decode_raster(layer: Any, size: Size) -> dict[str, np.ndarray]:
    """Decode a raster layer of Darwin to masks, bool (height, width), by annotation id; empty if it is damaged.

    The numbers are values, each followed by how often it is repeated; an annotation is a value.
    """
    layer = dict_or_empty(layer)
    coded = [integer(n, 2**31) for n in list_or_empty(layer.get("dense_rle"))]
    known = [n for n in coded if n is not None]
    pixels = expand(known[::2], known[1::2], size) if len(known) == len(coded) and len(known) % 2 == 0 else None
    numbers = dict_or_empty(layer.get("mask_annotation_ids_mapping"))
    return {} if pixels is None else {key: pixels == integer(number) for key, number in numbers.items()}
