"""Prompts sampled from the ground truth, as in the paper (HQ-SAM, section 4 and supplement).

`box` is the tight box; `box-noise:0.2` shifts and scales it like DN-DETR; `points:1,3,5+5` are foreground points
and, after the plus, background points; `mask` is a coarse mask file; `clicks` simulates interactive segmentation
(RITM, Sofiiuk et al., ICIP 2022).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from ..errors import UsageError
from ..records import Prompt

POINT_TRIALS = 3
CLICKS = 20  # per object in interactive segmentation
TARGETS = (0.80, 0.85, 0.90)  # target IoUs for the number of clicks (NoC)
PromptKind = Literal["box", "box-noise", "points", "mask", "clicks"]
FORMS = "box, box-noise:0.2, points:1,3,5,5+5, mask or clicks"


@dataclass(frozen=True, slots=True)
class PromptRule:
    """How to sample a prompt; `label` names it in tables, and scores are averaged over `trials`.

    `noise` is a fraction of the box size; `inside` and `outside` are numbers of points.
    """

    kind: PromptKind
    label: str
    trials: int = 1
    noise: float = 0.0
    inside: int = 0
    outside: int = 0


def prompt_rules(text: str) -> list[PromptRule]:
    """Parse a prompt, such as `points:1,3`. Raises a UsageError."""
    kind, _, detail = text.partition(":")
    try:
        if kind in ("box", "mask", "clicks") and not detail:
            return [PromptRule(kind, kind)]  # type: ignore[arg-type]
        if kind == "box-noise":
            noise = float(detail)
            if 0 < noise < math.inf:
                return [PromptRule("box-noise", f"box, noise {noise:g}", noise=noise)]
        if kind == "points":
            return [_points_rule(part) for part in detail.split(",")]
    except ValueError:
        pass
    raise UsageError(f"use {FORMS}", option="prompt", value=text)


def _points_rule(text: str) -> PromptRule:
    inside, _, outside = text.partition("+")
    count, negatives = int(inside), int(outside or 0)
    if count < 1 or negatives < 0:
        raise ValueError(text)
    # A single point is the object's center and not random.
    trials = 1 if (count, negatives) == (1, 0) else POINT_TRIALS
    label = f"{text} point" + ("" if text == "1" else "s")
    return PromptRule("points", label, trials, inside=count, outside=negatives)


def random_generator(seed: int, name: str) -> np.random.Generator:
    """Return the random generator of an image, independent of other images."""
    return np.random.default_rng((seed, zlib.crc32(name.encode("utf-8", "surrogateescape"))))


def tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Box x0, y0, x1, y1 of a non-empty bool mask (H, W); corners are inclusive."""
    x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
    return x, y, x + width - 1, y + height - 1


def draw_prompt(
    rule: PromptRule, gt: np.ndarray, rng: np.random.Generator, *, inclusive: bool, coarse: np.ndarray | None
) -> Prompt:
    """Sample a prompt for an object mask, bool (H, W), in prompt pixel coordinates.

    With `inclusive` the box ends on the last pixel of the mask, as in the authors' evaluation, not after it.
    """
    if rule.kind == "mask":
        return Prompt(1, mask=coarse)
    if rule.kind == "points":
        return Prompt(1, points=_points(rule, gt, rng))
    x0, y0, x1, y1 = tight_box(gt)
    end = 0 if inclusive else 1
    box = np.array([x0, y0, x1 + end, y1 + end], float)
    if rule.kind == "box-noise":
        box = _noisy(box, rule.noise, gt.shape, rng)
    return Prompt(1, box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])))


def _noisy(box: np.ndarray, noise: float, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """DN-DETR box noise: shift the center by up to `noise` / 2 and scale by up to `noise`, relative to the size."""
    size = box[2:] - box[:2]
    center = (box[:2] + box[2:]) / 2 + rng.uniform(-1, 1, 2) * size * noise / 2
    size = size + rng.uniform(-1, 1, 2) * size * noise
    corners = np.concatenate([center - size / 2, center + size / 2])
    return corners.clip(0, np.array([shape[1], shape[0], shape[1], shape[0]]))


def _points(rule: PromptRule, gt: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sample points (n, 3) of x, y, label; at most one per pixel of the mask."""
    if (rule.inside, rule.outside) == (1, 0):
        return np.array([[*innermost_pixel(depth(gt)), 1]], float)
    parts = []
    for region, count, label in ((gt, rule.inside, 1), (~gt, rule.outside, 0)):
        places = np.flatnonzero(region)
        chosen = rng.choice(places, min(count, len(places)), replace=False)
        y, x = np.divmod(chosen, gt.shape[1])
        parts.append(np.stack([x, y, np.full(len(chosen), label)], axis=1))
    return np.concatenate(parts).astype(float)


def depth(region: np.ndarray) -> np.ndarray:
    """Distance transform of a bool region (H, W), float32; everything outside the image is background."""
    return cv2.distanceTransform(np.pad(region.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]


def innermost_pixel(depths: np.ndarray) -> tuple[int, int]:
    """Return x, y of the largest distance."""
    y, x = np.unravel_index(int(depths.argmax()), depths.shape)
    return int(x), int(y)


def next_click(mask: np.ndarray, gt: np.ndarray, not_clicked: np.ndarray) -> tuple[int, int, int]:
    """Return x, y, label of the next click: the innermost pixel of the false negatives or false positives.

    Masks are bool (H, W); `not_clicked`, float32 (H, W), is set to 0 at each click.
    """
    missed = depth(gt & ~mask) * not_clicked
    excess = depth(mask & ~gt) * not_clicked
    inside = bool(missed.max() > excess.max())
    x, y = innermost_pixel(missed if inside else excess)
    not_clicked[y, x] = 0
    return x, y, int(inside)


def clicks_until(ious: Sequence[float], target: float) -> int:
    """Number of clicks to reach an IoU, at most `CLICKS`."""
    return next((n for n, value in enumerate(ious, 1) if value >= target), CLICKS)
