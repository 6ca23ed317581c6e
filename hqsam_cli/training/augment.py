"""Augmentation of an image and its mask: scale and crop, composites, colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..models.sam import PIXEL_MEAN


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Strengths.

    Attributes:
        scale: range of the longest side over the frame's side; log-uniform.
        composite: probability of pasting another object into the image.
        color: half range of brightness, contrast and saturation factors around 1.
        least_object: share of the frame the object must cover after the crop.
    """

    scale: tuple[float, float] = (0.65, 1.7)
    composite: float = 0.25
    color: float = 0.35
    least_object: float = 0.0015


def framed(
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, size: int, config: AugmentConfig
) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask scaled at random into a frame of `size`: cropped around the object, or padded.

    The padding is the mean pixel, which is what a padded frame holds after normalising.
    """
    low, high = np.log(config.scale)
    factor = float(np.exp(rng.uniform(low, high))) * size / max(image.shape[:2])
    stretch = float(np.exp(rng.uniform(-0.15, 0.15)))
    width = max(8, round(image.shape[1] * factor * stretch))
    height = max(8, round(image.shape[0] * factor / stretch))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    image = cv2.resize(image, (width, height), interpolation=method)
    # Threshold after an anti-aliased resize keeps the edge in place to a fraction of a pixel.
    mask = (cv2.resize(mask * np.float32(255), (width, height), interpolation=method) > 127.5).astype(np.uint8)

    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        rows, columns = np.array([0]), np.array([0])
    y = _offset(rng, height, size, int(rows[0]), int(rows[-1]))
    x = _offset(rng, width, size, int(columns[0]), int(columns[-1]))
    frame = np.empty((size, size, 3), np.uint8)
    frame[:] = np.round(PIXEL_MEAN)
    target = np.zeros((size, size), np.uint8)
    ys, xs = slice(max(y, 0), min(y + size, height)), slice(max(x, 0), min(x + size, width))
    yd, xd = slice(ys.start - y, ys.stop - y), slice(xs.start - x, xs.stop - x)
    frame[yd, xd], target[yd, xd] = image[ys, xs], mask[ys, xs]
    return frame, target


def _offset(rng: np.random.Generator, length: int, size: int, first: int, last: int) -> int:
    """Where the frame begins along one axis; negative where padding comes first."""
    if length <= size:
        # Half of the time as at inference, where padding comes last.
        return 0 if rng.random() < 0.5 else -int(rng.integers(size - length + 1))
    centre = int(rng.integers(first, last + 1))
    return int(np.clip(centre - rng.integers(size // 4, size - size // 4), 0, length - size))


def composited(
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, other: np.ndarray, other_mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`image` with the object of `other` pasted in at a random place; the object to find is either one."""
    rows, columns = np.flatnonzero(other_mask.any(axis=1)), np.flatnonzero(other_mask.any(axis=0))
    if not len(rows):
        return image, mask
    piece = other[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shape = other_mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = image.shape[:2]
    factor = rng.uniform(0.25, 0.8) * min(height / piece.shape[0], width / piece.shape[1])
    h, w = max(4, round(piece.shape[0] * factor)), max(4, round(piece.shape[1] * factor))
    piece = cv2.resize(piece, (w, h), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    alpha = cv2.resize(shape.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    image, pasted = image.copy(), np.zeros_like(mask)
    region = image[y : y + h, x : x + w]
    region[:] = np.round(region + (piece.astype(np.float32) - region) * alpha[..., None]).astype(np.uint8)
    pasted[y : y + h, x : x + w] = alpha > 0.5
    rest = mask & ~pasted & 1
    if rng.random() < 0.5 and rest.sum() > 0.3 * mask.sum():
        return image, rest
    return image, pasted


def color_jittered(rng: np.random.Generator, image: np.ndarray, config: AugmentConfig) -> np.ndarray:
    """Brightness, contrast, saturation and channel gains changed at random; sometimes grey or blurred."""
    x = image.astype(np.float32)
    gain, contrast, saturation = rng.uniform(1 - config.color, 1 + config.color, 3)
    grey = x.mean(axis=2, keepdims=True)
    if rng.random() < 0.05:
        saturation = 0.0
    x = grey + (x - grey) * saturation
    x = (x - x.mean()) * contrast + x.mean() * gain
    x *= rng.uniform(0.92, 1.08, 3).astype(np.float32)
    if rng.random() < 0.15:
        x = cv2.GaussianBlur(x, (0, 0), rng.uniform(0.4, 1.2))
    if rng.random() < 0.15:
        x = x + rng.normal(0, rng.uniform(2, 10), x.shape).astype(np.float32)
    return np.clip(x, 0, 255).astype(np.uint8)
