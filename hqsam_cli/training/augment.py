"""Augmentation of an image and its mask: HQ-SAM's jitter, and what `lite` needs: composites, mosaics, colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ..models.sam import PIXEL_MEAN

JITTER = (0.1, 2.0)  # longest side over the frame's, in HQ-SAM's training
JITTER_PADDING = 128


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Strengths of what `lite` is trained with.

    Attributes:
        scale: range of the longest side over the frame's side; log-uniform.
        composite: probability of pasting other objects into the image.
        pastes: most objects pasted.
        mosaic: probability of making the image one cell of a grid of images.
        component: probability of asking for one part of a mask that falls into several large ones.
        color: half range of brightness, contrast and saturation factors around 1.
        least_object: share of the frame the object must cover after the crop.
    """

    scale: tuple[float, float] = (0.65, 1.7)
    composite: float = 0.35
    pastes: int = 4
    mosaic: float = 0.4
    component: float = 0.4
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


def large_scale_jittered(
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """HQ-SAM's augmentation: a flip, a scale of 0.1 to 2 of the frame, a random crop, padding at right and bottom.

    Both are resized bilinearly without anti-aliasing, as the authors do, so the mask has soft edges. The object
    may be lost; whoever asks draws again.

    Args:
        image: uint8 (H, W, 3).
        mask: uint8 0 / 1 (H, W).

    Returns:
        The frame, uint8 (size, size, 3) padded with 128, and the mask in it, uint8 0 to 255 padded with 0.
    """
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    factor = rng.uniform(*JITTER) * size / max(image.shape[:2])
    height, width = (max(1, round(side * factor)) for side in image.shape[:2])
    y, x = (int(rng.integers(max(side - size, 0) + 1)) for side in (height, width))
    frame, target = np.full((size, size, 3), JITTER_PADDING, np.uint8), np.zeros((size, size), np.uint8)
    for canvas, source in ((frame, image), (target, mask * np.uint8(255))):
        scaled = cv2.resize(np.ascontiguousarray(source), (width, height), interpolation=cv2.INTER_LINEAR)
        part = scaled[y : y + size, x : x + size]
        canvas[: part.shape[0], : part.shape[1]] = part
    return frame, target


def one_component(rng: np.random.Generator, mask: np.ndarray) -> np.ndarray:
    """One of the large connected parts of a mask, or the mask where there is only one."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    large = [i for i in range(1, count) if areas[i - 1] > 0.15 * areas.sum()]
    return (labels == large[rng.integers(len(large))]).astype(np.uint8) if len(large) > 1 else mask


def mosaic(
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, others: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """`image` in a random cell of a grid with three others: only the prompt tells which object is meant."""
    side = max(image.shape[:2])
    y, x = (int(side * rng.uniform(0.3, 0.7)) for _ in range(2))
    cells = [(0, y, 0, x), (0, y, x, side), (y, side, 0, x), (y, side, x, side)]
    canvas, target = np.empty((side, side, 3), np.uint8), np.zeros((side, side), np.uint8)
    home = int(rng.integers(4))
    # Sometimes two cells are one, for wide and high images.
    if rng.random() < 0.5:
        cells[home] = (0, side, *cells[home][2:]) if rng.random() < 0.5 else (*cells[home][:2], 0, side)
    sources = iter(others)
    for index in [i for i in range(4) if i != home] + [home]:
        top, bottom, left, right = cells[index]
        source, its_mask = (image, mask) if index == home else (next(sources), None)
        piece, its_mask = _covering(rng, source, its_mask, bottom - top, right - left)
        canvas[top:bottom, left:right] = piece
        if its_mask is not None:
            target[top:bottom, left:right] = its_mask
    return canvas, target


def _covering(
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray | None, height: int, width: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """A random crop of that size from an image scaled just so that it covers it."""
    scale = max(height / image.shape[0], width / image.shape[1])
    size = (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    y, x = int(rng.integers(size[1] - height + 1)), int(rng.integers(size[0] - width + 1))
    image = cv2.resize(image, size, interpolation=method)[y : y + height, x : x + width]
    if mask is not None:
        soft = cv2.resize(mask * np.float32(255), size, interpolation=method)
        mask = (soft[y : y + height, x : x + width] > 127.5).astype(np.uint8)
    return image, mask


def composited(
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, others: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, np.ndarray]:
    """`image` with other objects pasted in at random places; the object to find is any that is still seen."""
    image, masks, areas = image.copy(), [mask], [int(mask.sum())]
    for other, other_mask in others:
        pasted = _pasted(rng, image, other, other_mask)
        masks = [m & ~pasted & 1 for m in masks] + [pasted]
        areas.append(int(pasted.sum()))
    seen = [m for m, area in zip(masks, areas, strict=True) if m.sum() > 0.4 * area]
    return image, seen[rng.integers(len(seen))] if seen else masks[-1]


def _pasted(rng: np.random.Generator, image: np.ndarray, other: np.ndarray, other_mask: np.ndarray) -> np.ndarray:
    """Paste the object of `other` into `image`, in place; its mask there, uint8 0 / 1."""
    target = np.zeros(image.shape[:2], np.uint8)
    rows, columns = np.flatnonzero(other_mask.any(axis=1)), np.flatnonzero(other_mask.any(axis=0))
    if not len(rows):
        return target
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    piece, shape = other[box], other_mask[box]
    height, width = image.shape[:2]
    factor = np.exp(rng.uniform(np.log(0.07), np.log(0.75))) * min(height / piece.shape[0], width / piece.shape[1])
    h, w = max(4, round(piece.shape[0] * factor)), max(4, round(piece.shape[1] * factor))
    piece = cv2.resize(piece, (w, h), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)
    alpha = cv2.resize(shape.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
    y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    region = image[y : y + h, x : x + w]
    region[:] = np.round(region + (piece.astype(np.float32) - region) * alpha[..., None]).astype(np.uint8)
    target[y : y + h, x : x + w] = alpha > 0.5
    return target


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
