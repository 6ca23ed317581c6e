"""Augmentation of an image and its mask: HQ-SAM's large-scale jitter, and a stronger one for small datasets."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..io.masks import is_foreground
from ..modeling.sam import PIXEL_MEAN

JITTER = (0.1, 2.0)  # longest side over the input size, in HQ-SAM's training
JITTER_PADDING = 128
BLURS = (0.1, 0.01)  # kernel sizes of blur fusion, relative to the longest side


@dataclass(frozen=True, slots=True)
class Strength:
    """Parameters of the strong augmentation."""

    scale: tuple[float, float] = (0.7, 1.8)  # range of the longest side over the input size, log-uniform
    mosaic: float = 0.25  # probability of a grid of four images
    component: float = 0.4  # probability of keeping one connected component of a mask with several
    composite: float = 0.85  # probability of a new background for an image with an alpha matte
    color: float = 0.35  # half range of brightness, contrast and saturation factors around 1
    min_area: float = 0.0015  # minimum object area after the crop, as a fraction of the input


STRONG = Strength()


def large_scale_jittered(
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """HQ-SAM's augmentation: random flip, scale of 0.1 to 2, random crop, and padding at right and bottom.

    As in the authors' code, resizing is bilinear without anti-aliasing, so mask edges are soft. The crop may miss the
    object.

    Args:
        image: uint8 (H, W, 3).
        mask: uint8 0 / 1 (H, W).

    Returns:
        The image, uint8 (size, size, 3) padded with 128, and its mask, uint8 0 to 255 padded with 0.
    """
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    factor = rng.uniform(*JITTER) * size / max(image.shape[:2])
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    y, x = (int(rng.integers(max(side - size, 0) + 1)) for side in (height, width))
    square, target = np.full((size, size, 3), JITTER_PADDING, np.uint8), np.zeros((size, size), np.uint8)
    for canvas, source in ((square, image), (target, mask * np.uint8(255))):
        scaled = cv2.resize(np.ascontiguousarray(source), (width, height), interpolation=cv2.INTER_LINEAR)
        part = scaled[y : y + size, x : x + size]
        canvas[: part.shape[0], : part.shape[1]] = part
    return square, target


def scaled_and_cropped(
    rng: np.random.Generator, image: np.ndarray, masks: list[np.ndarray], size: int, strength: Strength = STRONG
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Randomly scale an image and its masks, uint8 0 / 1, and crop them around the first object, or pad them.

    The padding is the mean pixel, which is 0 after normalization. Masks smaller than `strength.min_area` are dropped.
    """
    low, high = np.log(strength.scale)
    factor = float(np.exp(rng.uniform(low, high))) * size / max(image.shape[:2])
    stretch = float(np.exp(rng.uniform(-0.15, 0.15)))
    width = max(8, round(image.shape[1] * factor * stretch))
    height = max(8, round(image.shape[0] * factor / stretch))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    image = cv2.resize(image, (width, height), interpolation=method)
    scaled = [_resize_mask(mask, width, height, method) for mask in masks]
    left, top, w, h = cv2.boundingRect(scaled[0])
    y = _offset(rng, height, size, top, top + max(h, 1) - 1)
    x = _offset(rng, width, size, left, left + max(w, 1) - 1)
    square = np.empty((size, size, 3), np.uint8)
    square[:] = np.round(PIXEL_MEAN)
    ys, xs = slice(max(y, 0), min(y + size, height)), slice(max(x, 0), min(x + size, width))
    yd, xd = slice(ys.start - y, ys.stop - y), slice(xs.start - x, xs.stop - x)
    square[yd, xd] = image[ys, xs]
    targets = []
    for mask in scaled:
        target = np.zeros((size, size), np.uint8)
        target[yd, xd] = mask[ys, xs]
        if cv2.countNonZero(target) >= max(1, strength.min_area * size**2):
            targets.append(target)
    return square, targets


def _resize_mask(mask: np.ndarray, width: int, height: int, method: int) -> np.ndarray:
    """Resize a mask, uint8 0 / 1, with anti-aliasing before thresholding, for subpixel accuracy."""
    return is_foreground(cv2.resize(mask * np.uint8(255), (width, height), interpolation=method)).view(np.uint8)


def _offset(rng: np.random.Generator, length: int, size: int, first: int, last: int) -> int:
    """Start of the crop along an axis; negative if padding comes first."""
    if length <= size:
        # Half of the time padding comes last, as at inference.
        return 0 if rng.random() < 0.5 else -int(rng.integers(size - length + 1))
    center = int(rng.integers(first, last + 1))
    return int(np.clip(center - rng.integers(size // 4, size - size // 4), 0, length - size))


def one_component(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """Return a random large connected component of a mask, or the mask if it has only one."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = [i for i in range(1, count) if areas[i - 1] > 0.15 * areas.sum()]
    return (labels == large[rng.integers(len(large))]).astype(np.uint8) if len(large) > 1 else mask


def mosaic(
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, others: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Place an image in a random cell of a mosaic with three others, so that only the prompt identifies the object.

    Returns the mosaic and the masks of its visible objects, that of `image` first.
    """
    side = max(image.shape[:2])
    y, x = (int(side * rng.uniform(0.3, 0.7)) for _ in range(2))
    cells = [(0, y, 0, x), (0, y, x, side), (y, side, 0, x), (y, side, x, side)]
    canvas = np.empty((side, side, 3), np.uint8)
    masks: list[np.ndarray] = []
    home = int(rng.integers(4))
    order = [cell for index, cell in enumerate(cells) if index != home] + [cells[home]]
    for (top, bottom, left, right), source in zip(order, [*others, (image, mask)], strict=True):
        cell = slice(top, bottom), slice(left, right)
        canvas[cell], seen = _cover(rng, *source, bottom - top, right - left)
        if cv2.countNonZero(seen):
            masks.append(np.zeros((side, side), np.uint8))
            masks[-1][cell] = seen
    return canvas, masks[::-1]


def _cover(
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Random crop of an image scaled to cover a size, and of its mask, uint8 0 / 1."""
    scale = max(height / image.shape[0], width / image.shape[1])
    size = (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    y, x = int(rng.integers(size[1] - height + 1)), int(rng.integers(size[0] - width + 1))
    image = cv2.resize(image, size, interpolation=method)[y : y + height, x : x + width]
    return image, _resize_mask(mask, *size, method)[y : y + height, x : x + width]


def composite(
    rng: np.random.Generator, image: np.ndarray, alpha: np.ndarray, background: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Composite an alpha matte, uint8 (H, W), onto a background of any size; returns the image and its mask.

    Foreground colors are estimated by blur fusion (Forte, 2021), to remove the old background from hair.
    """
    own, share = image.astype(np.float32), alpha[..., None].astype(np.float32) / 255
    front = back = own
    for part in BLURS:
        side = max(3, round(part * max(image.shape[:2])))
        weight = cv2.blur(share, (side, side))[..., None]
        front = cv2.blur(front * share, (side, side)) / (weight + 1e-5)
        back = cv2.blur(back * (1 - share), (side, side)) / (1 - weight + 1e-5)
        front = np.clip(front + share * (own - share * front - (1 - share) * back), 0, 255)
    behind, _ = _cover(rng, background, np.zeros(background.shape[:2], np.uint8), *image.shape[:2])
    mixed = np.round(share * front + (1 - share) * behind).astype(np.uint8)
    return mixed, is_foreground(alpha).view(np.uint8)


def color_jittered(rng: np.random.Generator, image: np.ndarray, strength: Strength = STRONG) -> np.ndarray:
    """Random brightness, contrast, saturation and channel gains; sometimes gray, blur or noise."""
    x = image.astype(np.float32)
    gain, contrast, saturation = rng.uniform(1 - strength.color, 1 + strength.color, 3)
    gray = x.mean(axis=2, keepdims=True)
    if rng.random() < 0.05:
        saturation = 0.0
    x = gray + (x - gray) * saturation
    x = (x - x.mean()) * contrast + x.mean() * gain
    x *= rng.uniform(0.92, 1.08, 3).astype(np.float32)
    if rng.random() < 0.15:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.15:
        x = x + rng.normal(0, rng.uniform(2, 10), x.shape).astype(np.float32)
    clipped: np.ndarray = np.clip(x, 0, 255).astype(np.uint8)
    return clipped
