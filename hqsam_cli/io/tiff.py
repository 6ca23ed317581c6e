"""TIFF files that Pillow does not read: through OpenCV, or named by what they are."""

from __future__ import annotations

import io
from typing import BinaryIO

import cv2
import numpy as np
from PIL import Image, TiffImagePlugin

from ..errors import ImageError

WIDTH, HEIGHT, BITS, COMPRESSION, BANDS, LARGEST, FORMAT = 256, 257, 258, 259, 277, 281, 339
PHOTOMETRIC, PLANES, EXTRA = 262, 284, 338
MIN_IS_WHITE, ALPHAS = 0, (1, 2)
KINDS = {1: "whole", 2: "signed", 3: "float", 5: "complex", 6: "complex"}  # of sample formats
JPEG_2000 = "JPEG 2000"
COMPRESSIONS = {33003: JPEG_2000, 33005: JPEG_2000, 34712: JPEG_2000, 50000: "ZSTD", 50001: "WebP", 52546: "JPEG XL"}
MAGIC = (b"II*\0", b"MM\0*")
UNPACKED = (1, 5, 7, 8, 32773, 32946)  # compressions that OpenCV unpacks; of others it makes black pixels
MOST_BANDS = 4
OFFSETS, COUNTS = (273, 324), (279, 325)  # of strips and of tiles

# Errors here are sentences, so OpenCV is silent; where that is said depends on its version.
set_log_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
set_log_level(0)


def read_tags(file: BinaryIO) -> TiffImagePlugin.ImageFileDirectory_v2 | None:
    """The tags of the first image of a TIFF; None of what is none."""
    file.seek(0)
    header = file.read(8)
    if header[:4] not in MAGIC:
        return None
    tags = TiffImagePlugin.ImageFileDirectory_v2(header)
    file.seek(tags.next)
    tags.load(file)
    return tags


def read_other_tiff(content: bytes, path: str, max_pixels: int) -> Image.Image | None:
    """A TIFF as an 8-bit image, RGB or gray; None where the content is no TIFF.

    Raises:
        ImageError: OpenCV does not read it either; the text says what it is.
        DecompressionBombError: it is too large.
    """
    try:
        tags = read_tags(io.BytesIO(content))
    except Exception:
        return None
    if tags is None or not isinstance(tags.get(WIDTH), int) or not isinstance(tags.get(HEIGHT), int):
        return None
    if tags[WIDTH] * tags[HEIGHT] > max_pixels:
        raise Image.DecompressionBombError
    known = tags.get(BANDS, 1) <= MOST_BANDS and tags.get(COMPRESSION, 1) in UNPACKED and tags.get(PLANES, 1) == 1
    if known and not _is_whole(tags, len(content)):
        raise ImageError("broken image (TIFF that is cut off)", file=path, remedy="fetch it again")
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if known else None
    if pixels is None:
        raise ImageError(
            f"a TIFF of a kind that is not read ({describe(tags)})", file=path, remedy="convert it to 8-bit RGB"
        )
    if pixels.dtype != np.uint8:
        pixels = eight_bits(pixels, path, bit_depth(tags))
    if pixels.ndim == 2:
        return Image.fromarray(pixels)
    return Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB))


def _is_whole(tags: TiffImagePlugin.ImageFileDirectory_v2, size: int) -> bool:
    """Whether all pixels lie within the file."""
    for offsets, counts in zip(OFFSETS, COUNTS, strict=True):
        if offsets in tags and counts in tags:
            ends = [place + count for place, count in zip(_all(tags[offsets]), _all(tags[counts]), strict=False)]
            return max(ends, default=size + 1) <= size
    return False


def _all(value: object) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,) if isinstance(value, int) else ()


def describe(tags: TiffImagePlugin.ImageFileDirectory_v2) -> str:
    """What a TIFF holds, in words."""
    bits, kind = _first(tags.get(BITS, 1)), KINDS.get(_first(tags.get(FORMAT, 1)), "unknown")
    packed = COMPRESSIONS.get(tags.get(COMPRESSION, 1), "")
    return f"{tags.get(BANDS, 1)} bands of {bits}-bit {kind} numbers{f', {packed} inside' if packed else ''}"


def is_misread(tags: TiffImagePlugin.ImageFileDirectory_v2) -> bool:
    """Whether Pillow reads a TIFF wrong: colors of 16 bits in planes, or in fewer bits than 16."""
    if _first(tags.get(BITS, 1)) != 16 or tags.get(BANDS, 1) < 3:
        return False
    return tags.get(PLANES, 1) == 2 or bit_depth(tags) < 16


def bit_depth(tags: TiffImagePlugin.ImageFileDirectory_v2) -> int:
    """How many bits of a sample are used, by its size, or by the largest value that the file names."""
    largest = _first(tags.get(LARGEST, 0)) or 0
    return min(_first(tags.get(BITS, 1)), max(int(largest).bit_length(), 0) or 32)


def _first(value: object) -> int:
    own = value[0] if isinstance(value, tuple) else value
    return own if isinstance(own, int) else 0


def eight_bits(values: np.ndarray, path: str, depth: int = 16) -> np.ndarray:
    """Values as 8 bits: whole 16-bit numbers by their depth, 32 bits and floats by the range they use."""
    if values.dtype == np.uint16:
        if values.max(initial=0) >= 2**depth:  # scaled to the whole range, whatever the file says of its depth
            depth = 16
        return np.minimum(np.round(values * np.float32(255 / (2**depth - 1))), 255).astype(np.uint8)
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ImageError("holds values that are no numbers", file=path, remedy="convert it to 8 bits first")
    low, high = float(values.min()), float(values.max())
    return np.round((values - low) * (255 / (high - low or 1.0))).astype(np.uint8)
