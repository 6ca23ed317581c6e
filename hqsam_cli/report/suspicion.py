"""How much speaks against a mask: measures that need no ground truth, and one figure of them to sort by.

Each measure is a number that grows with doubt. A piecewise linear ramp turns it into a part from 0, as most good masks
have it, to the most that this doubt alone may count; parts are joined as independent doubts are, 1 - prod(1 - part).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from ..records import MaskCrop

SIDE = 160  # pixels of the longer side of what is looked at: a mask and its surroundings
MARGIN = 0.2  # of the longer side of a mask, on each side of it
BAND = 10  # pixels of that picture on either side of a boundary that it is compared with
WINDOW = 0.25  # of a boundary, as long as a stretch without an edge has to be
RING = 12  # pixels around a mask whose colors are those of its surroundings
ODDS = 1.5
PATCH = 5  # pixels; smaller spots of a color are noise
FEWEST = 8  # masks of a category that say what is usual


class Ramp(NamedTuple):
    """A measure at `low` or under counts nothing, at `high` or over it counts `most`; NaN, unknown, counts nothing.

    `words` say to people what is suspicious.
    """

    low: float
    high: float
    most: float
    words: str

    def __call__(self, value: np.ndarray) -> np.ndarray:
        known = np.nan_to_num(value, nan=self.low)
        part: np.ndarray = self.most * np.clip((known - self.low) / (self.high - self.low), 0, 1)
        return part


# What is measured, and from where to where it is a reason for doubt; `docs/report.md` says more.
PARTS = {
    "confidence": Ramp(0.15, 0.6, 0.6, "the model is not sure"),
    "box": Ramp(0.2, 0.6, 0.9, "leaves the box that was asked for, or fills little of it"),
    "contact": Ramp(0.75, 1.0, 0.5, "touches its box all along its sides"),
    "holes": Ramp(0.05, 0.4, 0.4, "has holes"),
    "fragments": Ramp(0.05, 0.5, 0.4, "is in fragments"),
    "ragged": Ramp(0.3, 1.0, 0.5, "has a ragged boundary"),
    "duplicate": Ramp(0.6, 0.9, 0.9, "is nearly another mask of the photo"),
    "size": Ramp(3.0, 6.0, 0.4, "is of an unusual size for its category"),
    "edges": Ramp(0.35, 0.6, 0.9, "its boundary is not where the photo has edges"),
    "gap": Ramp(0.5, 0.8, 0.6, "a stretch of its boundary has no edge in the photo"),
    "foreign": Ramp(0.05, 0.3, 0.7, "holds patches with the colors of what is around it"),
}


def measure_masks(
    annotations: Sequence[dict[str, Any]], masks: Sequence[MaskCrop], photo: np.ndarray | None
) -> np.ndarray:
    """The measures of the masks of one image, float (n, measures), in the order of `PARTS`; NaN where unknown.

    Args:
        annotations: COCO annotations, with `predicted_iou`, `prompt_box` and `prompt_id` as far as they are known.
        photo: uint8 RGB (H, W, 3), if there is one.
    """
    measured = np.full((len(masks), len(PARTS)), np.nan)
    shares = _duplicates(annotations, masks)
    for row, annotation, mask, duplicate in zip(measured, annotations, masks, shares, strict=True):
        values = {"confidence": 1 - annotation.get("predicted_iou", np.nan), "duplicate": duplicate}
        values["box"] = _off_the_box(annotation.get("prompt_box"), mask.tight_box())
        values |= _shape(mask)
        if photo is not None:
            values |= _against_photo(mask, photo)
        row[:] = [values.get(name, np.nan) for name in PARTS]
    return measured


def _duplicates(annotations: Sequence[dict[str, Any]], masks: Sequence[MaskCrop]) -> np.ndarray:
    """The largest IoU of each mask with another one of the image; the three masks of one prompt are no others."""
    from pycocotools import mask as coco_mask

    if len(masks) < 2:
        return np.zeros(len(masks))
    rles = [annotation["segmentation"] for annotation in annotations]
    ious = np.asarray(coco_mask.iou(rles, rles, [0] * len(rles)))
    prompts = np.array([annotation.get("prompt_id", -1 - n) for n, annotation in enumerate(annotations)])
    ious[prompts[:, None] == prompts] = 0
    largest: np.ndarray = ious.max(axis=1)
    return largest


def _off_the_box(prompt_box: Sequence[float] | None, tight: tuple[int, int, int, int]) -> float:
    """1 - IoU of the box that was asked for and the box of the mask."""
    if prompt_box is None:
        return np.nan
    (x0, y0, w0, h0), (x1, y1, w1, h1) = prompt_box, tight
    across = min(x0 + w0, x1 + w1) - max(x0, x1)
    down = min(y0 + h0, y1 + h1) - max(y0, y1)
    common = max(across, 0) * max(down, 0)
    return 1 - common / max(w0 * h0 + w1 * h1 - common, 1e-9)


def _shape(mask: MaskCrop) -> dict[str, float]:
    """What the outline alone says."""
    x, y, width, height = mask.tight_box()
    if not width:
        return {"contact": 1.0}
    bits = mask.bits[y - mask.y : y - mask.y + height, x - mask.x : x - mask.x + width].astype(np.uint8)
    area = int(bits.sum())
    sides = [bits[:, 0], bits[:, -1], bits[0], bits[-1]]
    inner = [x > 0, x + width < mask.width, y > 0, y + height < mask.height]
    touching = [side.mean() for side, within in zip(sides, inner, strict=True) if within]
    scale = min(1.0, SIDE / max(width, height))
    small = _resized(bits, scale)
    padded = np.pad(small, 3)
    edge = np.count_nonzero(cv2.morphologyEx(padded, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))) / 2
    rough = np.count_nonzero(padded != cv2.medianBlur(padded, 5))
    _, _, stats, _ = cv2.connectedComponentsWithStats(bits, connectivity=8)
    outline, _ = cv2.findContours(np.pad(bits, 1), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros((height + 2, width + 2), np.uint8), outline, -1, 1, cv2.FILLED)
    return {
        "contact": float(np.mean(touching)) if touching else np.nan,
        "holes": 1 - area / max(int(filled.sum()), 1),
        "fragments": 1 - float(stats[1:, cv2.CC_STAT_AREA].max()) / area,
        "ragged": rough / max(edge, 1),
    }


def _against_photo(mask: MaskCrop, photo: np.ndarray) -> dict[str, float]:
    """How far the boundary is from being where the photo has edges.

    The gradient at each point of the boundary is ranked among those nearby: 0.5 is chance, 1 the strongest of all.
    `edges` is 1 - the mean rank, `gap` that of the worst stretch.
    """
    x, y, width, height = mask.tight_box()
    if not width:
        return {}
    margin = round(MARGIN * max(width, height)) + 2
    x0, y0 = max(x - margin, 0), max(y - margin, 0)
    x1, y1 = min(x + width + margin, mask.width), min(y + height + margin, mask.height)
    bits = np.zeros((y1 - y0, x1 - x0), np.uint8)
    inner = mask.bits[y - mask.y :, x - mask.x :][:height, :width]
    bits[y - y0 : y - y0 + height, x - x0 : x - x0 + width] = inner
    scale = min(1.0, SIDE / max(bits.shape))
    small = _resized(bits, scale)
    pixels = cv2.resize(photo[y0:y1, x0:x1], small.shape[::-1], interpolation=cv2.INTER_AREA)
    ranks = _gradient_ranks(pixels, small)
    outlines, _ = cv2.findContours(small, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    bottom, right = small.shape[0] - 1, small.shape[1] - 1
    at_border = (x0 == 0, x1 == mask.width, y0 == 0, y1 == mask.height)
    all_ranks, worst, length = [], 0.0, sum(map(len, outlines))
    for outline in outlines:
        column, row = outline[:, 0, 0], outline[:, 0, 1]
        cut = (at_border[0] & (column <= 1)) | (at_border[1] & (column >= right - 1))
        cut |= (at_border[2] & (row <= 1)) | (at_border[3] & (row >= bottom - 1))
        along = np.where(cut, np.nan, ranks[row, column])
        all_ranks.append(along)
        span = max(round(WINDOW * length), 8)
        if len(along) >= span:
            sums = np.nan_to_num(np.r_[along, along[:span]], nan=1.0).cumsum()
            worst = max(worst, 1 - float((sums[span:] - sums[:-span]).min() / span))
    ranked = np.concatenate(all_ranks) if all_ranks else np.array([])
    known = ranked[~np.isnan(ranked)]
    if len(known) < 8:
        return {}
    return {"edges": 1 - float(known.mean()), "gap": worst, "foreign": _foreign(pixels, small)}


def _foreign(pixels: np.ndarray, mask: np.ndarray) -> float:
    """The share of a mask that is in patches with the colors of what is around it, as of a hole that was filled.

    A color is of the other side where it is `ODDS` times as frequent there; so where both sides look alike, as of an
    animal in its camouflage, nothing is said.
    """
    inside = mask.astype(bool)
    around = cv2.dilate(mask, np.ones((2 * RING + 1, 2 * RING + 1), np.uint8)).astype(bool) & ~inside
    if not around.any():
        return np.nan
    lab = cv2.cvtColor(cv2.GaussianBlur(pixels, (0, 0), 1.0), cv2.COLOR_RGB2LAB).astype(np.int32) // (16, 8, 8)
    _, shades = np.unique((lab[..., 0] * 32 + lab[..., 1]) * 32 + lab[..., 2], return_inverse=True)
    shades = shades.reshape(mask.shape)
    within, without = (np.bincount(shades[part], minlength=shades.max() + 1) / part.sum() for part in (inside, around))
    found = inside & (without > ODDS * within)[shades]
    patches = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, np.ones((PATCH, PATCH), np.uint8))
    return float(patches.sum() / inside.sum())


def _gradient_ranks(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """How strong the strongest edge beside each pixel is among those near the boundary, 0 to 1, float (h, w)."""
    smooth = cv2.GaussianBlur(pixels, (0, 0), 1.0).astype(np.float32)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    gradient = cv2.dilate(np.sqrt(across**2 + down**2).max(axis=2), np.ones((3, 3), np.uint8))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND + 1, 2 * BAND + 1))
    near = np.sort(gradient[cv2.dilate(mask, disc) != cv2.erode(mask, disc)])
    return np.searchsorted(near, gradient) / max(len(near), 1)


def _resized(bits: np.ndarray, scale: float) -> np.ndarray:
    """A mask, uint8 of 0 and 1, made smaller; a pixel stays set where half of what it stands for is."""
    if scale == 1.0:
        return bits
    size = max(1, round(bits.shape[1] * scale)), max(1, round(bits.shape[0] * scale))
    return (cv2.resize(bits * 255, size, interpolation=cv2.INTER_AREA) >= 128).astype(np.uint8)


def unusual_sizes(shares: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """How far each area is from its category's usual one, in robust deviations of the logarithm; float (n,).

    Args:
        shares: of the image that each mask takes, float (n,).
        categories: an id each.
    """
    far = np.full(len(shares), np.nan)
    logs = np.log(np.maximum(shares, 1e-8))
    for category in np.unique(categories):
        own = categories == category
        if own.sum() >= FEWEST:
            middle = np.median(logs[own])
            spread = 1.4826 * np.median(np.abs(logs[own] - middle))
            far[own] = np.abs(logs[own] - middle) / max(spread, 0.1)
    return far


def suspicion_parts(measured: np.ndarray) -> np.ndarray:
    """What each measure counts, float (n, measures), 0 to 1."""
    return np.stack([ramp(column) for ramp, column in zip(PARTS.values(), measured.T, strict=True)], axis=1)


def join_parts(parts: np.ndarray) -> np.ndarray:
    """The suspicion of each mask, float (n,), 0 to 1."""
    suspicion: np.ndarray = 1 - np.prod(1 - parts, axis=1)
    return suspicion
