"""TIFF files that Pillow does not read correctly: read by OpenCV, or rejected with a description.

tifffile would not make it shorter: without imagecodecs it decompresses neither LZW nor JPEG.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, TypeAlias

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

from ..errors import ImageError

Tags: TypeAlias = Mapping[int, Any]
WIDTH, HEIGHT, BITS, COMPRESSION, BANDS, LARGEST, FORMAT = 256, 257, 258, 259, 277, 281, 339
PHOTOMETRIC, PLANES, EXTRA = 262, 284, 338
MIN_IS_WHITE, MIN_IS_BLACK, ALPHAS = 0, 1, (1, 2)
KINDS = {1: "whole", 2: "signed", 3: "float", 5: "complex", 6: "complex"}  # of sample formats
JPEG_2000 = "JPEG 2000"
COMPRESSIONS = {33003: JPEG_2000, 33005: JPEG_2000, 34712: JPEG_2000, 50000: "ZSTD", 50001: "WebP", 52546: "JPEG XL"}
MAGIC = (b"II*\0", b"MM\0*")
OPENCV_COMPRESSIONS = (1, 5, 7, 8, 32773, 32946)  # OpenCV reads others as black pixels
MAX_BANDS = 4
OFFSETS, COUNTS = (273, 324), (279, 325)  # of strips and of tiles

# Errors are raised as exceptions, so OpenCV's log is silenced; the function name depends on its version.
set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
set_log_level(0)


def read_other_tiff(content: bytes, path: str, max_pixels: int) -> Image.Image | None:
    """Read a TIFF as an 8-bit image, RGB or gray; None if the content is not a TIFF.

    Raises:
        ImageError: OpenCV does not read it either; the message describes the TIFF.
        DecompressionBombError: it has too many pixels.
    """
    if content[:4] not in MAGIC:
        return None
    try:
        tags, file = TiffImagePlugin.ImageFileDirectory_v2(content[:8]), io.BytesIO(content)
        file.seek(tags.next)
        tags.load(file)
    except Exception:
        return None
    if not isinstance(tags.get(WIDTH), int) or not isinstance(tags.get(HEIGHT), int):
        return None
    if tags[WIDTH] * tags[HEIGHT] > max_pixels:
        raise Image.DecompressionBombError
    known = tags.get(BANDS, 1) <= MAX_BANDS and tags.get(PLANES, 1) == 1
    known = known and tags.get(COMPRESSION, 1) in OPENCV_COMPRESSIONS
    # OpenCV would mix bands that are no colors to gray, as if they were red, green and blue.
    known = known and not (tags.get(BANDS, 1) > 2 and tags.get(PHOTOMETRIC) == MIN_IS_BLACK)
    if known and not _is_complete(tags, len(content)):
        raise ImageError("broken image", file=path, detail="truncated TIFF", remedy="download it again")
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if known else None
    if pixels is None:
        raise ImageError(
            "an unsupported kind of TIFF", file=path, detail=_describe(tags), remedy="convert it to 8-bit RGB"
        )
    if pixels.dtype != np.uint8:
        pixels = eight_bits(pixels, path, bit_depth(tags))
    if pixels.ndim == 2:
        return Image.fromarray(pixels)
    return Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB))


def _is_complete(tags: Tags, size: int) -> bool:
    """Whether all pixels are within a file of `size` bytes."""
    for offsets, counts in zip(OFFSETS, COUNTS, strict=True):
        if offsets in tags and counts in tags:
            starts, sizes = (own if isinstance(own, tuple) else (own,) for own in (tags[offsets], tags[counts]))
            return max(map(sum, zip(starts, sizes, strict=False)), default=size + 1) <= size
    return False


def _describe(tags: Tags) -> str:
    """Bands, bits and compression of a TIFF."""
    bits, kind = _first(tags.get(BITS, 1)), KINDS.get(_first(tags.get(FORMAT, 1)), "unknown")
    packed = COMPRESSIONS.get(tags.get(COMPRESSION, 1), "")
    return f"{tags.get(BANDS, 1)} bands of {bits}-bit {kind} numbers{f', {packed} inside' if packed else ''}"


def is_misread(tags: Tags) -> bool:
    """Whether Pillow misreads a TIFF: 16-bit colors in planes, or with fewer significant bits."""
    if _first(tags.get(BITS, 1)) != 16 or tags.get(BANDS, 1) < 3:
        return False
    return tags.get(PLANES, 1) == 2 or bit_depth(tags) < 16


def bit_depth(tags: Tags) -> int:
    """Significant bits of a sample: its size, or less if the file gives the largest value."""
    largest = _first(tags.get(LARGEST, 0)) or 0
    return min(_first(tags.get(BITS, 1)), max(int(largest).bit_length(), 0) or 32)


def _first(value: object) -> int:
    own = value[0] if isinstance(value, tuple) else value
    return own if isinstance(own, int) else 0


def eight_bits(values: np.ndarray, path: str, depth: int = 16) -> np.ndarray:
    """Scale values to uint8: uint16 by its bit depth, others by their minimum and maximum."""
    if values.dtype == np.uint16:
        if values.max(initial=0) >= 2**depth:  # values use the whole range, contrary to the stated depth
            depth = 16
        return np.minimum(np.round(values * np.float32(255 / (2**depth - 1))), 255).astype(np.uint8)
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError("contains NaN or infinity", file=path, remedy="convert it to 8 bits first")
    low, high = float(values.min()), float(values.max())
    return np.round((values - low) * (255 / (high - low or 1.0))).astype(np.uint8)
