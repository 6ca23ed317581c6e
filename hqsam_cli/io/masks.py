"""Binary masks and alpha mattes in image files.

A file holds the mask of one object, as two values or colors, as transparency, or as shades of gray. Photos are errors,
and so are maps of several instances or classes, except where the id of an instance is known (`read_ids`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..configs import DEFAULT_MAX_PIXELS
from ..errors import ImageError
from .files import InputFile
from .images import open_image

THRESHOLD = 128  # of 8 bits; brighter is foreground
# Values are ids if more than this share of the pixels between the lowest and the highest is flat, and steps at their
# borders are larger than this share of the number of values.
FLAT, ABRUPT = 0.5, 0.1
WHITE = 0.95  # of the range
LOSSY = ("JPEG", "WEBP", "AVIF", "JPEG2000")
MIN_TRANSPARENT = 0.01  # of the pixels
SAMPLE = 100_000  # pixels whose colors are counted
# Distance from shades of the main color, and the share of pixels allowed beyond it: of lossy formats, and of others.
OTHERS = {True: (96, 0.005), False: (32, 0.0)}
DARK, BRIGHT = 64, 192
MAX_BETWEEN = 0.05  # of the pixels of a mask with colors, neither dark nor bright
REMEDY, ONE_OBJECT = "convert it to a mask of 0 and 255", "convert it to a mask of one object, 0 and 255"


def read_mask(path: Path) -> np.ndarray:
    """Read a mask, bool (H, W); see `read_mask_values`."""
    return is_foreground(read_mask_values(path))


def is_foreground(values: np.ndarray) -> np.ndarray:
    """The bool mask of 8-bit values: brighter than 128, as in the reference implementation."""
    mask: np.ndarray = values > THRESHOLD
    return mask


def read_mask_values(path: Path) -> np.ndarray:
    """Read a mask as stored, uint8 (H, W): 255 is foreground, 0 background, with shades in between.

    Raises:
        ImageError: the file is missing, unreadable, or not the mask of one object.
    """
    if not path.exists():
        raise ImageError("the mask is missing", file=path)
    with open_image(InputFile(str(path)), exif="ignore", max_pixels=DEFAULT_MAX_PIXELS) as image:
        return _object(image, path)


def read_ids(path: Path) -> np.ndarray:
    """Read an id map, int32 (H, W): values or palette indices as stored; of colors, R + 256 G + 65536 B as in COCO.

    Raises:
        ImageError: the file is missing, unreadable, or has no integers.
    """
    with open_image(InputFile(str(path)), exif="ignore", max_pixels=DEFAULT_MAX_PIXELS) as image:
        if image.mode.startswith("F"):
            raise ImageError("contains no integers", file=path, remedy=REMEDY)
        if image.mode in ("1", "L", "P") or image.mode.startswith("I"):
            return np.asarray(image).astype(np.int32)
        return np.asarray(image.convert("RGB")).astype(np.int32) @ np.array([1, 256, 65_536], np.int32)


def read_matte(path: Path) -> np.ndarray:
    """Read an alpha matte, uint8 (H, W); 16 bits are scaled by their full range. Raises an ImageError."""
    with open_image(InputFile(str(path)), exif="ignore", max_pixels=DEFAULT_MAX_PIXELS) as image:
        if image.mode.startswith("I;16"):
            return (np.asarray(image) // 257).astype(np.uint8)
        return np.asarray(image.getchannel("A") if "A" in image.getbands() else image.convert("L"))


def _object(image: Image.Image, path: Path) -> np.ndarray:
    """The mask of a loaded image; see `read_mask_values`."""
    lossy = image.format in LOSSY
    if "transparency" in image.info or "A" in image.getbands():
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        if alpha.min() != alpha.max() and (alpha < 255).mean() > MIN_TRANSPARENT:
            return _from_gray(alpha, path, lossy)
        image = image.convert("RGB")
    if image.mode == "P":
        return _from_palette(image, path)
    if image.mode in ("1", "L") or image.mode.startswith(("I", "F")):
        return _from_gray(np.asarray(image), path, lossy)
    colors = np.asarray(image.convert("RGB"))
    gray = colors.min(axis=2)
    is_gray = (gray == colors.max(axis=2)).all()
    return _from_gray(gray, path, lossy) if is_gray else _from_colors(colors, path, lossy)


def _from_gray(values: np.ndarray, path: Path, lossy: bool = False) -> np.ndarray:
    """Of two values, the higher is foreground; more values are shades up to the highest."""
    if not np.isfinite(values).all():
        raise ImageError("contains NaN or infinity", file=path, remedy=REMEDY)
    if values.dtype.kind == "f" and values.max() <= 1:
        values = values * 255
    # Counting is much faster than sorting.
    counted = values.dtype in (np.uint8, np.uint16)
    levels = np.flatnonzero(np.bincount(values.ravel())) if counted else np.unique(values)
    low, high = levels[0], levels[-1]
    if low < 0:
        raise ImageError("contains negative values", file=path, remedy=REMEDY)
    full = 255 if high <= 255 else 65_535
    if len(levels) == 1:
        return np.full(values.shape, 255 if high else 0, np.uint8)
    if len(levels) == 2:
        if low > 0 and not low <= THRESHOLD / 255 * full < high:
            raise ImageError(f"contains {low} and {high}, neither of which is 0", file=path, remedy=REMEDY)
        return np.where(values == high, 255, 0).astype(np.uint8)
    are_consecutive = len(levels) == high + 1 and high < WHITE * full
    if not lossy and (are_consecutive or _is_map(values, levels)):
        reason = f"contains {len(levels)} values from {low} to {high}, a map of several instances or classes"
        raise ImageError(reason, file=path, remedy=ONE_OBJECT)
    # Off-white is white; artifacts of JPEG are brighter than the object.
    top = min(float(np.percentile(values[values > high / 2], 90)), full) if lossy else high
    scaled = np.minimum(values * (255 / top), 255) if top < WHITE * full else values / (full / 255)
    return scaled.astype(np.uint8)


def _is_map(values: np.ndarray, levels: np.ndarray) -> bool:
    """Whether values are ids: most pixels between the lowest and the highest are in flat areas with abrupt borders.

    Pixels of edges and thin lines differ from their neighbors; a wide gradient is flat, but its steps are small.
    """
    between = (values > levels[0]) & (values < levels[-1])
    flat = np.zeros(values.shape, bool)
    same = (
        (values[1:] == values[:-1])[:, 1:] & (values[1:] == values[:-1])[:, :-1] & (values[1:, 1:] == values[1:, :-1])
    )
    for rows in (slice(1, None), slice(None, -1)):
        for columns in (slice(1, None), slice(None, -1)):
            flat[rows, columns] |= same
    flat &= between
    if np.count_nonzero(flat) <= FLAT * np.count_nonzero(between):
        return False
    ranks = np.searchsorted(levels, values)
    steps = []
    for turned, area in ((ranks, flat), (ranks.T, flat.T)):
        border = (turned[1:] != turned[:-1]) & (area[1:] | area[:-1])
        steps.append(np.abs(turned[1:] - turned[:-1])[border])
    return bool(np.concatenate(steps).mean() > ABRUPT * (len(levels) - 1))


def _from_palette(image: Image.Image, path: Path) -> np.ndarray:
    """Of two colors, the second is foreground, or the first if the second is black."""
    palette = np.array(image.getpalette() or [], np.uint8).reshape(-1, 3)
    indices = np.asarray(image)
    used = np.unique(indices)
    if used[-1] < len(palette) and (palette == palette[:, :1]).all():
        return _from_gray(palette[:, 0][indices], path)
    if len(used) > 2:
        raise ImageError(f"a palette of {len(used)} classes", file=path, remedy=ONE_OBJECT)
    if len(used) == 1:
        return np.full(indices.shape, 255 if used[0] else 0, np.uint8)
    second_is_black = used[-1] < len(palette) and not palette[used[1]].any()
    return np.where(indices == used[0 if second_is_black else 1], 255, 0).astype(np.uint8)


def _from_colors(colors: np.ndarray, path: Path, lossy: bool) -> np.ndarray:
    """One color on black is a mask, even with JPEG artifacts."""
    bright: np.ndarray = colors.max(axis=2)
    if len(np.unique(colors.reshape(-1, 3)[:: max(1, bright.size // SAMPLE)], axis=0)) == 2:
        if not (bright == 0).any():
            raise ImageError("two colors, neither of them black", file=path, remedy=REMEDY)
        return np.where(bright > 0, 255, 0).astype(np.uint8)
    color = np.median(colors[bright >= 0.75 * bright.max()], axis=0)
    far, most = OTHERS[lossy]
    others = np.abs(colors - bright[..., None] * (color / color.max())).max(axis=2) > far
    bright = np.minimum(bright * (255 / color.max()), 255).astype(np.uint8)
    between = (bright > DARK) & (bright < BRIGHT)
    if bright.min() > DARK or others.mean() > most or between.mean() > MAX_BETWEEN:
        raise ImageError("contains several colors, so it is not the mask of one object", file=path, remedy=REMEDY)
    return bright
