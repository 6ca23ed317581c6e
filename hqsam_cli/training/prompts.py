"""Random prompts sampled from a mask, similar to those of a detector or user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np
import torch
from torch.nn import functional

from ..io.masks import is_foreground
from ..modeling.prompt_encoder import (
    ABSENT,
    BACKGROUND_POINT,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND_POINT,
    PADDING_POINT,
    PromptBatch,
)

if TYPE_CHECKING:
    from .data import Batch

MAX_POINTS = 10
LOOSE = 0.33  # greatest error of a loose box, as a fraction of its sides


@dataclass(frozen=True, slots=True)
class PromptMix:
    """Probabilities of the prompt kinds; the remainder is a box with points."""

    box: float = 0.72
    points: float = 0.16
    coarse: float = 0.08


MIX = PromptMix()


class SampledPrompt(NamedTuple):
    """Points (T, 2) and labels (T,) with T = `MAX_POINTS` + 2, and a coarse mask (S / 4, S / 4), 0 / 255."""

    points: np.ndarray
    labels: np.ndarray
    coarse: np.ndarray
    has_coarse: bool


def varied_prompt(rng: np.random.Generator, mask: np.ndarray, mix: PromptMix = MIX) -> SampledPrompt:
    """Sample a noisy box, points, or a coarse mask from a mask, uint8 0 to 255 (S, S), with some foreground."""
    mask = is_foreground(mask).view(np.uint8)
    size = mask.shape[0] // 4
    coarse = np.zeros((size, size), np.float32)
    draw = rng.random()
    points: list[tuple[float, float, int]] = []
    has_coarse = mix.box + mix.points <= draw < mix.box + mix.points + mix.coarse
    if draw < mix.box:
        points = _box(rng, mask)
    elif has_coarse:
        coarse = noisy_mask(rng, mask, size)
        points = _box(rng, mask) if rng.random() < 0.5 else []
    elif draw < mix.box + mix.points:
        points = [*_points(rng, mask), (0.0, 0.0, PADDING_POINT)]
    else:
        points = [*_points(rng, mask)[:MAX_POINTS], *_box(rng, mask)]
    return _padded(points, coarse, has_coarse)


def loose_prompt(rng: np.random.Generator, mask: np.ndarray, others: Sequence[np.ndarray]) -> SampledPrompt:
    """A poor prompt for a mask, uint8 0 to 255 (S, S): a box off by up to a third, also around one of the `others`."""
    mask = is_foreground(mask).view(np.uint8)
    size, sides = mask.shape[0], np.tile(cv2.boundingRect(mask)[2:], 2)
    box = np.array(_corners(mask)) + rng.uniform(-LOOSE, LOOSE, 4) * sides
    if len(others) > 1 and rng.random() < 0.3:
        other = _corners(is_foreground(others[int(rng.integers(len(others)))]).view(np.uint8))
        box = np.array([*np.minimum(box[:2], other[:2]), *np.maximum(box[2:], other[2:])])
    x0, y0, x1, y1 = np.clip(box, 0, size)
    corners = [(x0, y0, BOX_TOP_LEFT), (x1, y1, BOX_BOTTOM_RIGHT)]
    return _padded(corners, np.zeros((size // 4, size // 4), np.float32), False)


def _corners(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The tight box of a mask, uint8 0 / 1: x0, y0, x1, y1."""
    x, y, width, height = cv2.boundingRect(mask)
    return x, y, x + width, y + height


def paper_prompt(rng: np.random.Generator, mask: np.ndarray) -> SampledPrompt:
    """Sample HQ-SAM's training prompt: the tight box, ten points, or a noisy coarse mask, with equal probability.

    The mask is uint8 0 to 255 (S, S), with some foreground. An object of fewer than ten pixels gets a point per pixel.
    (In the authors' code, the whole batch then loses its point prompts.)
    """
    kind = rng.integers(3)
    size = mask.shape[0] // 4
    no_mask = np.zeros((size, size), np.float32)
    rows, columns = np.nonzero(is_foreground(mask))
    if kind == 0:
        # As in the authors' code, the box ends on the last pixel; elsewhere it ends after it.
        first, last = (columns.min(), rows.min(), BOX_TOP_LEFT), (columns.max(), rows.max(), BOX_BOTTOM_RIGHT)
        return _padded([first, last], no_mask, False)
    if kind == 1:
        chosen = rng.choice(len(rows), min(MAX_POINTS, len(rows)), replace=False)
        points = [(columns[i], rows[i], FOREGROUND_POINT) for i in chosen]
        return _padded([*points, (0, 0, PADDING_POINT)], no_mask, False)
    return _padded([], paper_coarse_mask(rng, mask, size), True)


def paper_coarse_mask(rng: np.random.Generator, mask: np.ndarray, size: int) -> np.ndarray:
    """HQ-SAM's coarse mask, 0 / 255 float32 (size, size): noise where an eighth of the resolution loses detail."""
    small = cv2.resize(mask.astype(np.float32) / 255, (size, size), interpolation=cv2.INTER_LINEAR)
    eighth = cv2.resize(small, (size // 8, size // 8), interpolation=cv2.INTER_LINEAR)
    lost = np.abs(small - cv2.resize(eighth, (size, size), interpolation=cv2.INTER_LINEAR)) >= 0.01
    noisy: np.ndarray = ((small + rng.standard_normal(small.shape, np.float32) * lost > 0.5) * 255).astype(np.float32)
    return noisy


def _padded(points: list[tuple[float, float, int]], coarse: np.ndarray, has_coarse: bool) -> SampledPrompt:
    """Pad the points of a prompt with absent ones."""
    filled = np.full((MAX_POINTS + 2, 3), (0, 0, ABSENT), np.float32)
    filled[: len(points)] = np.array(points, np.float32).reshape(-1, 3)
    return SampledPrompt(filled[:, :2].copy(), filled[:, 2].astype(np.int64), coarse, has_coarse)


def _box(rng: np.random.Generator, mask: np.ndarray) -> list[tuple[float, float, int]]:
    """The tight box with probability 0.33, else a box with noise of about 5 %, rarely up to 20 %."""
    box = np.array(_corners(mask), np.float64)
    sides = np.tile(box[2:] - box[:2], 2)
    kind = rng.random()
    if kind > 0.33:
        limit = 0.2 if kind > 0.93 else 0.08
        box += np.clip(rng.normal(0, limit / 2, 4), -limit, limit) * sides
        box = np.clip(box, 0, mask.shape[0])
    return [(box[0], box[1], BOX_TOP_LEFT), (box[2], box[3], BOX_BOTTOM_RIGHT)]


def _points(rng: np.random.Generator, mask: np.ndarray) -> list[tuple[float, float, int]]:
    """One to ten points; the first is in the foreground, each other in the background with probability 0.3."""
    count = int(rng.integers(1, MAX_POINTS + 1))
    inside, outside = np.argwhere(mask), np.argwhere(mask == 0)
    chosen = []
    for i in range(count):
        negative = i > 0 and len(outside) > 0 and rng.random() < 0.3
        pool = outside if negative else inside
        y, x = pool[rng.integers(len(pool))]
        chosen.append((float(x), float(y), BACKGROUND_POINT if negative else FOREGROUND_POINT))
    if rng.random() < 0.4:
        depth = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        chosen[0] = (float(x), float(y), FOREGROUND_POINT)
    return chosen


def noisy_mask(rng: np.random.Generator, mask: np.ndarray, size: int) -> np.ndarray:
    """Coarse version of a mask, 0 / 255 float32 (size, size), dilated or eroded, with holes and bumps."""
    small = cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.5, max(0.5, 0.03 * size)))
    noise = cv2.GaussianBlur(rng.normal(0, 1, (size, size)).astype(np.float32), (0, 0), rng.uniform(1, 4))
    noise *= rng.uniform(0, 0.3) / (noise.std() + 1e-6)
    return ((blurred + noise > rng.uniform(0.35, 0.65)) * 255).astype(np.float32)


def prompt_batch(batch: Batch) -> PromptBatch:
    """Convert a batch to prompts, with the same number per image."""
    count = len(batch.labels)
    longest = int((batch.labels != ABSENT).sum(dim=1).max())
    return PromptBatch(
        image_index=torch.arange(count, device=batch.labels.device) // (count // len(batch.numbers)),
        points=batch.points[:, :longest],
        labels=batch.labels[:, :longest],
        masks=batch.coarse if bool(batch.has_coarse.any()) else None,
        has_mask=batch.has_coarse,
        ragged=True,
    )


def join_prompts(first: PromptBatch, boxes: PromptBatch) -> PromptBatch:
    """Join prompts and boxes of the same images into one batch."""
    width, added = max(first.labels.shape[1], boxes.labels.shape[1]), len(boxes.labels)
    gaps = [(batch, width - batch.labels.shape[1]) for batch in (first, boxes)]
    assert first.has_mask is not None
    return PromptBatch(
        image_index=torch.cat([first.image_index, boxes.image_index]),
        points=torch.cat([functional.pad(batch.points, (0, 0, 0, gap)) for batch, gap in gaps]),
        labels=torch.cat([functional.pad(batch.labels, (0, gap), value=ABSENT) for batch, gap in gaps]),
        masks=None if first.masks is None else functional.pad(first.masks, (0, 0, 0, 0, 0, 0, 0, added)),
        has_mask=torch.cat([first.has_mask, first.has_mask.new_zeros(added)]),
        ragged=True,
    )
