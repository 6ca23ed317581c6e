"""Suspicion of masks: measures without ground truth, combined into one value to sort by.

A piecewise linear ramp maps each measure to a part, from 0, as for most good masks, to the maximum of that measure;
parts are combined like independent probabilities, 1 - prod(1 - part).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from ..records import RLE, Annotation, MaskCrop
from .photo_measures import SIDE, photo_measures, resized

FEWEST = 8  # minimum number of masks of a category for its median area
# Masks that another mask consists of: the fraction of a part within it, and outside of each other part; their sizes.
WITHIN, APART = 0.9, 0.8
LEAST_PART, MOST_PART = 0.1, 0.85


class Ramp(NamedTuple):
    """0 up to `low` and for NaN (unknown); `maximum` from `high` on. `text` describes what is suspicious."""

    low: float
    high: float
    maximum: float
    text: str

    def __call__(self, value: np.ndarray) -> np.ndarray:
        known = np.nan_to_num(value, nan=self.low)
        return np.asarray(self.maximum * np.clip((known - self.low) / (self.high - self.low), 0, 1))


# By measure; see `docs/report.md`.
PARTS = {
    "empty": Ramp(0.0, 1.0, 1.0, "is empty"),
    "confidence": Ramp(0.2, 0.6, 0.6, "has a low predicted IoU"),
    "low_score": Ramp(0.5, 0.95, 0.5, "has a low score"),
    "disagreement": Ramp(0.15, 0.6, 0.7, "SAM and HQ-SAM disagree"),
    "box": Ramp(0.12, 0.26, 0.95, "exceeds the prompt box, or fills little of it"),
    "contact": Ramp(0.75, 1.0, 0.5, "touches its box along all sides"),
    "holes": Ramp(0.01, 0.15, 0.5, "has holes where the image has no edges"),
    "fragments": Ramp(0.12, 0.5, 0.2, "is in fragments"),
    "ragged": Ramp(0.45, 1.0, 0.3, "has a ragged boundary"),
    "duplicate": Ramp(0.6, 0.9, 0.9, "is a near-duplicate of another mask"),
    "merged": Ramp(0.5, 0.9, 0.8, "consists of several other masks"),
    "size": Ramp(2.0, 8.0, 0.4, "has an unusual size for its category"),
    "edges": Ramp(0.3, 0.6, 0.9, "its boundary is not on edges of the image"),
    "gap": Ramp(0.7, 0.78, 0.8, "a part of its boundary is not on an edge of the image"),
    "straight": Ramp(0.55, 0.72, 0.45, "a straight part of its boundary is not on an edge of the image"),
    "foreign": Ramp(0.03, 0.35, 0.8, "contains patches with the colors of its surroundings"),
}


def measure_masks(annotations: Sequence[Annotation], masks: Sequence[MaskCrop], photo: np.ndarray | None) -> np.ndarray:
    """The measures of the masks of one image, float (n, measures), in the order of `PARTS`; NaN where unknown.

    Args:
        annotations: COCO annotations, with `predicted_iou`, `score`, `prompt_box` and `prompt_id` if known.
        photo: uint8 RGB (H, W, 3), or None.
    """
    measured = np.full((len(masks), len(PARTS)), np.nan)
    duplicates, merged = _overlaps(annotations, masks)
    for row, annotation, mask, duplicate, parts in zip(measured, annotations, masks, duplicates, merged, strict=True):
        score = annotation.get("score")
        values = {
            "confidence": 1 - annotation.get("predicted_iou", np.nan),
            "low_score": np.nan if score is None else 1 - score,
            "duplicate": duplicate,
            "merged": parts,
        }
        if "sam" in annotation:
            values["disagreement"] = 1 - _iou(annotation["segmentation"], annotation["sam"]["segmentation"])
        values["box"] = _box_distance(annotation.get("prompt_box"), mask.tight_box())
        values |= _shape(mask)
        if photo is not None:
            values |= photo_measures(mask, photo)
        row[:] = [values.get(name, np.nan) for name in PARTS]
    return measured


def _overlaps(annotations: Sequence[Annotation], masks: Sequence[MaskCrop]) -> tuple[np.ndarray, np.ndarray]:
    """Of each mask, the largest IoU with a mask of another prompt, and the fraction that several of these fill, (n,).

    These are disjoint masks within it, each of a tenth of its area or more.
    """
    from pycocotools import mask as coco_mask

    if len(annotations) < 2:
        return np.zeros(len(annotations)), np.zeros(len(annotations))
    rles = [annotation["segmentation"] for annotation in annotations]
    prompts = np.array([annotation.get("prompt_id", -1 - n) for n, annotation in enumerate(annotations)])
    ious, within = (np.asarray(coco_mask.iou(rles, rles, [crowd] * len(rles))) for crowd in (0, 1))
    for table in (ious, within):  # `within` is the fraction of the row's mask in that of the column
        table[prompts[:, None] == prompts] = 0
    areas = np.array([np.count_nonzero(mask.bits) for mask in masks], float)
    largest_first = np.argsort(-areas, kind="stable")
    merged = np.zeros(len(areas))
    for whole, area in enumerate(areas):
        inside = (within[:, whole] >= WITHIN) & (areas >= LEAST_PART * area) & (areas <= MOST_PART * area)
        parts: list[int] = []
        for part in largest_first[inside[largest_first]]:
            if all(within[part, other] <= 1 - APART for other in parts):
                parts.append(int(part))
        merged[whole] = areas[parts].sum() / area if len(parts) > 1 else 0.0
    return np.asarray(ious.max(axis=1)), merged


def _iou(first: RLE, second: RLE) -> float:
    """IoU of two masks in compressed RLE; 1 if both are empty."""
    from pycocotools import mask as coco_mask

    either = coco_mask.area(coco_mask.merge([first, second]))
    both = coco_mask.area(coco_mask.merge([first, second], True))
    return float(both / either) if either else 1.0


def _box_distance(prompt_box: Sequence[float] | None, tight: tuple[int, int, int, int]) -> float:
    """1 - IoU of the prompt box and the box of the mask."""
    if prompt_box is None:
        return np.nan
    (x0, y0, w0, h0), (x1, y1, w1, h1) = prompt_box, tight
    across = min(x0 + w0, x1 + w1) - max(x0, x1)
    down = min(y0 + h0, y1 + h1) - max(y0, y1)
    common = max(across, 0) * max(down, 0)
    return 1 - common / max(w0 * h0 + w1 * h1 - common, 1e-9)


def _shape(mask: MaskCrop) -> dict[str, float]:
    """Measures of the mask alone."""
    x, y, width, height = mask.tight_box()
    if not width:
        return {"empty": 1.0}
    bits = mask.bits[y - mask.y : y - mask.y + height, x - mask.x : x - mask.x + width].astype(np.uint8)
    area = int(bits.sum())
    sides = [bits[:, 0], bits[:, -1], bits[0], bits[-1]]
    inner = [x > 0, x + width < mask.width, y > 0, y + height < mask.height]
    touching = [side.mean() for side, within in zip(sides, inner, strict=True) if within]
    scale = min(1.0, SIDE / max(width, height))
    small = resized(bits, scale)
    padded = np.pad(small, 3)
    edge = np.count_nonzero(cv2.morphologyEx(padded, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))) / 2
    rough = np.count_nonzero(padded != cv2.medianBlur(padded, 5))
    _, _, stats, _ = cv2.connectedComponentsWithStats(bits, connectivity=8)
    outline, _ = cv2.findContours(np.pad(bits, 1), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros((height + 2, width + 2), np.uint8), outline, -1, 1, cv2.FILLED)
    return {
        "empty": 0.0,
        "contact": float(np.mean(touching)) if touching else np.nan,
        "holes": 1 - area / max(int(filled.sum()), 1),
        "fragments": 1 - float(stats[1:, cv2.CC_STAT_AREA].max()) / area,
        "ragged": rough / max(edge, 1),
    }


def unusual_sizes(fractions: np.ndarray, categories: np.ndarray) -> np.ndarray:
    """Deviation of each log area from the median of its category, in robust standard deviations, float (n,).

    Args:
        fractions: fraction of the image covered by each mask, float (n,).
        categories: category id per mask.
    """
    distances = np.full(len(fractions), np.nan)
    logs = np.log(np.maximum(fractions, 1e-8))
    for category in np.unique(categories):
        own = categories == category
        if own.sum() >= FEWEST:
            deviations = np.abs(logs[own] - np.median(logs[own]))
            distances[own] = deviations / max(1.4826 * np.median(deviations), 0.1)
    return distances


def suspicion_parts(measured: np.ndarray) -> np.ndarray:
    """The part of each measure, float (n, measures), 0 to 1."""
    return np.stack([ramp(column) for ramp, column in zip(PARTS.values(), measured.T, strict=True)], axis=1)


def join_parts(parts: np.ndarray) -> np.ndarray:
    """The suspicion of each mask, float (n,), 0 to 1."""
    return np.asarray(1 - np.prod(1 - parts, axis=1))
