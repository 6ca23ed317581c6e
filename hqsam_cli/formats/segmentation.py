"""Decode COCO segmentations: RLE and polygons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..configs import DEFAULT_MAX_PIXELS
from ..records import Box, MaskCrop, Segmentation
from .values import integer, number_or_none

REACH = 10  # coordinates may be at most the longer side of the image times this


def decode_segmentation(segmentation: Segmentation, width: int, height: int) -> np.ndarray:
    """Decode a segmentation to a mask, bool (height, width).

    Raises:
        ValueError: the segmentation is invalid; the message is the end of a sentence.
    """
    if isinstance(segmentation, dict):
        return _decode_rle(segmentation, width, height)
    return _decode_polygons(segmentation, width, height)


def decode_crop(segmentation: Segmentation, width: int, height: int) -> MaskCrop:
    """Decode a segmentation to its tight crop; of RLE, only non-empty columns are decoded.

    Raises:
        ValueError: as `decode_segmentation`.
    """
    if not isinstance(segmentation, dict):
        first, bits = 0, _decode_polygons(segmentation, width, height)
    else:
        runs = _sound_runs(segmentation, width, height)
        borders = runs.cumsum()
        if len(runs) < 2:
            return MaskCrop(np.zeros((0, 0), bool), 0, 0, width, height)
        first, last = int(borders[0]) // height, -(-int(borders[len(runs) // 2 * 2 - 1]) // height)
        runs[0] -= first * height
        runs[-1] -= runs.sum() - (last - first) * height  # trailing zeros, if any
        bits = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(last - first, height).T
    x, y, w, h = MaskCrop(bits, first, 0, width, height).tight_box()
    return MaskCrop(np.ascontiguousarray(bits[y : y + h, x - first : x - first + w]), x, y, width, height)


def _decode_rle(rle: Mapping[str, Any], width: int, height: int) -> np.ndarray:
    runs = _sound_runs(rle, width, height)
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def _sound_runs(rle: Mapping[str, Any], width: int, height: int) -> np.ndarray:
    """Validated run lengths of an image of that size, zeros first, int64."""
    size, counts = rle.get("size"), rle.get("counts")
    size = [integer(n, 2**31) or 0 for n in size] if isinstance(size, list) else []
    if len(size) != 2 or min(size) <= 0:
        raise ValueError("is RLE without a size [height, width]")
    if size != [height, width]:  # checked before decoding: a few bytes can claim gigabytes
        raise ValueError(f"is {size[1]} x {size[0]} pixels, the image {width} x {height}")
    runs = _run_lengths(counts) if isinstance(counts, str) else _counted_runs(counts)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"is RLE whose runs do not sum to {width} x {height} pixels")
    return runs


def _counted_runs(counts: Any) -> np.ndarray:
    numbers = [integer(n, 2**31) for n in counts] if isinstance(counts, list) else [None]
    known = [n for n in numbers if n is not None and n >= 0]
    if len(known) != len(numbers):
        raise ValueError("is RLE without counts")
    return np.array(known, np.int64)


def _run_lengths(text: str) -> np.ndarray:
    """Run lengths of a compressed RLE.

    A number is groups of 5 bits, lowest first, each a character from `0` on with 32 added if more follow, in two's
    complement; from the fourth run on, it is the difference to the run two before. pycocotools would fill a mask with
    uninitialized memory if there are too few runs, so runs are validated before decoding.
    """
    codes = np.frombuffer(text.encode("utf-8", "replace"), np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("is RLE with truncated or invalid counts")
    ends = np.flatnonzero(codes & 32 == 0)
    starts = np.r_[0, ends[:-1] + 1]
    lengths = ends - starts + 1
    if lengths.max() > 7:
        raise ValueError("is RLE with invalid counts")
    places = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    runs = np.add.reduceat((codes & 31) << places, starts)
    runs -= np.where(codes[ends] & 16, 1 << 5 * lengths, 0)
    runs[1::2] = runs[1::2].cumsum()
    runs[2::2] = runs[2::2].cumsum()
    return runs


def _decode_polygons(polygons: Any, width: int, height: int) -> np.ndarray:
    from pycocotools import mask as coco_mask

    decoded: np.ndarray = coco_mask.decode(coco_mask.merge(_rles(polygons, width, height))).astype(bool)
    return decoded


def _rles(polygons: Any, width: int, height: int) -> list[dict[str, Any]]:
    """The RLE of each polygon, as pycocotools makes them."""
    reach = REACH * max(width, height)
    sound = sound_polygons(polygons)
    if any(abs(n) > reach for polygon in sound for n in polygon):
        raise ValueError("is neither RLE nor polygons near the image")
    from pycocotools import mask as coco_mask

    rles: list[dict[str, Any]] = coco_mask.frPyObjects(sound, height, width)
    return rles


def even_odd(rings: list[list[float]], width: int, height: int) -> Segmentation:
    """The area inside an odd number of rings as RLE: a ring within another is a hole.

    Raises:
        ValueError: as `decode_segmentation`.
    """
    # Each border between runs toggles a pixel and all after it, so equal borders cancel out.
    runs = [_run_lengths(rle["counts"].decode()) for rle in _rles(rings, width, height)]
    borders, times = np.unique(np.concatenate([own[:-1].cumsum() for own in runs]), return_counts=True)
    counts = np.diff(borders[(times % 2 == 1) & (borders < width * height)], prepend=0, append=width * height)
    return {"size": [height, width], "counts": counts.tolist()}


def sound_polygons(polygons: Any) -> list[list[float]]:
    """Validated polygons as x, y, x, y, …, without parts of fewer than three points.

    A single polygon is accepted instead of a list, and points may be pairs.

    Raises:
        ValueError: no polygon is left, or a coordinate is invalid.
    """
    if not isinstance(polygons, list) or not polygons:
        raise ValueError("is neither RLE nor polygons")
    pairs = all(isinstance(part, list) and len(part) == 2 for part in polygons)
    if pairs or not any(isinstance(part, list) for part in polygons):
        polygons = [polygons]
    sound = []
    for part in polygons:
        if part and isinstance(part, list) and all(isinstance(point, list) and len(point) == 2 for point in part):
            part = [n for point in part for n in point]
        numbers = [number_or_none(n) for n in part] if isinstance(part, list) else [] if part is None else [None]
        if None in numbers or len(numbers) % 2:
            raise ValueError("is neither RLE nor polygons")
        if len(numbers) >= 6:
            sound.append([n for n in numbers if n is not None])
    if not sound:
        raise ValueError("is neither RLE nor polygons with an area")
    return sound


def enclosing_box(points: Sequence[float]) -> Box:
    """The box around x, y, x, y, …"""
    return min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2])


def bounding_box(segmentation: Any, size: tuple[int, int] | None) -> Box | None:
    """The box around a segmentation in pixels, (x0, y0, x1, y1); None if it is invalid or has no area.

    Args:
        size: (width, height) of the image; if None, the size of an RLE.
    """
    try:
        if isinstance(segmentation, list):
            box = enclosing_box([n for polygon in sound_polygons(segmentation) for n in polygon])
            return box if box[0] < box[2] and box[1] < box[3] else None
        width, height = size or (int(n) for n in reversed(segmentation["size"]))
        if not 0 < height * width <= DEFAULT_MAX_PIXELS:
            return None
        x, y, w, h = MaskCrop.whole(decode_segmentation(segmentation, width, height)).tight_box()
        return (float(x), float(y), float(x + w), float(y + h)) if w else None
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
