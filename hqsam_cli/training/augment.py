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
        paste: range of their sizes in shares of the image; log-uniform.
        mosaic: probability of making the image one cell of a grid of images.
        component: probability of asking for one part of a mask that falls into several large ones.
        color: half range of brightness, contrast and saturation factors around 1.
        least_object: share of the frame the object must cover after the crop.
    """

    scale: tuple[float, float] = (0.65, 1.7)
    composite: float = 0.35
    pastes: int = 4
    paste: tuple[float, float] = (0.07, 0.75)
    mosaic: float = 0.4
    component: float = 0.4
    color: float = 0.35
    least_object: float = 0.0015


def framed(
    rng: np.random.Generator, image: np.ndarray, masks: list[np.ndarray], size: int, config: AugmentConfig
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Image and masks scaled at random into a frame of `size`: cropped around the first object, or padded.

    The padding is the mean pixel, which is what a padded frame holds after normalising. Of the masks those are
    returned that cover `config.least_object` of the frame.
    """
    low, high = np.log(config.scale)
    factor = float(np.exp(rng.uniform(low, high))) * size / max(image.shape[:2])
    stretch = float(np.exp(rng.uniform(-0.15, 0.15)))
    width = max(8, round(image.shape[1] * factor * stretch))
    height = max(8, round(image.shape[0] * factor / stretch))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    image = cv2.resize(image, (width, height), interpolation=method)
    scaled = [resized_mask(mask, width, height, method) for mask in masks]
    left, top, w, h = cv2.boundingRect(scaled[0])
    y = _offset(rng, height, size, top, top + max(h, 1) - 1)
    x = _offset(rng, width, size, left, left + max(w, 1) - 1)
    frame = empty_frame(size)
    ys, xs = slice(max(y, 0), min(y + size, height)), slice(max(x, 0), min(x + size, width))
    yd, xd = slice(ys.start - y, ys.stop - y), slice(xs.start - x, xs.stop - x)
    frame[yd, xd] = image[ys, xs]
    targets = []
    for mask in scaled:
        target = np.zeros((size, size), np.uint8)
        target[yd, xd] = mask[ys, xs]
        if cv2.countNonZero(target) >= max(1, config.least_object * size**2):
            targets.append(target)
    return frame, targets


def empty_frame(size: int) -> np.ndarray:
    """A frame of padding, uint8 (size, size, 3): the mean pixel, which is zero after normalising."""
    frame = np.empty((size, size, 3), np.uint8)
    frame[:] = np.round(PIXEL_MEAN)
    return frame


def resized_mask(mask: np.ndarray, width: int, height: int, method: int) -> np.ndarray:
    """A mask, uint8 0 / 1; the threshold after an anti-aliased resize keeps its edge in place to a part of a pixel."""
    return cv2.resize(mask * np.uint8(255), (width, height), interpolation=method) // 128


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
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, others: list[tuple[np.ndarray, np.ndarray]]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """`image` in a random cell of a grid with three others: only the prompt tells which object is meant.

    Returns:
        The grid, and the masks of the objects seen in it, `image`'s first if it is.
    """
    side = max(image.shape[:2])
    y, x = (int(side * rng.uniform(0.3, 0.7)) for _ in range(2))
    cells = [(0, y, 0, x), (0, y, x, side), (y, side, 0, x), (y, side, x, side)]
    canvas = np.empty((side, side, 3), np.uint8)
    home = int(rng.integers(4))
    # Sometimes two cells are one, for wide and high images.
    if rng.random() < 0.5:
        cells[home] = (0, side, *cells[home][2:]) if rng.random() < 0.5 else (*cells[home][:2], 0, side)
    masks: list[np.ndarray] = []
    around = [cell for index, cell in enumerate(cells) if index != home]
    for (top, bottom, left, right), source in zip([*around, cells[home]], [*others, (image, mask)], strict=True):
        cell = slice(top, bottom), slice(left, right)
        canvas[cell], seen = covering(rng, *source, bottom - top, right - left)
        for before in masks:
            before[cell] = 0
        if cv2.countNonZero(seen):
            masks.append(np.zeros((side, side), np.uint8))
            masks[-1][cell] = seen
    return canvas, masks[::-1]


def covering(
    rng: np.random.Generator, image: np.ndarray, mask: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """A random crop of that size from an image scaled just so that it covers it, and from its mask, uint8 0 / 1."""
    scale = max(height / image.shape[0], width / image.shape[1])
    size = (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    y, x = int(rng.integers(size[1] - height + 1)), int(rng.integers(size[0] - width + 1))
    image = cv2.resize(image, size, interpolation=method)[y : y + height, x : x + width]
    return image, resized_mask(mask, *size, method)[y : y + height, x : x + width]


def composited(
    rng: np.random.Generator,
    image: np.ndarray,
    masks: list[np.ndarray],
    others: list[tuple[np.ndarray, np.ndarray]],
    paste: tuple[float, float],
) -> tuple[np.ndarray, list[np.ndarray]]:
    """`image` with other objects pasted in at random places, and the masks of those that are still seen, if any."""
    image, areas = image.copy(), [cv2.countNonZero(mask) for mask in masks]
    for other, other_mask in others:
        pasted = _pasted(rng, image, other, other_mask, paste)
        masks = [mask & ~pasted & 1 for mask in masks] + [pasted]
        areas.append(cv2.countNonZero(pasted))
    return image, [mask for mask, area in zip(masks, areas, strict=True) if cv2.countNonZero(mask) > 0.4 * area]


def _pasted(
    rng: np.random.Generator, image: np.ndarray, other: np.ndarray, other_mask: np.ndarray, paste: tuple[float, float]
) -> np.ndarray:
    """Paste the object of `other` into `image`, in place; its mask there, uint8 0 / 1."""
    target = np.zeros(image.shape[:2], np.uint8)
    left, top, w, h = cv2.boundingRect(other_mask)
    if not w:
        return target
    piece, shape = other[top : top + h, left : left + w], other_mask[top : top + h, left : left + w]
    height, width = image.shape[:2]
    factor = np.exp(rng.uniform(*np.log(paste))) * min(height / piece.shape[0], width / piece.shape[1])
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
