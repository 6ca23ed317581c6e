"""Prompts made from a coarse mask alone: a box around its large parts, and its signed distances as mask logits.

As in SAMRefiner (Lin et al., ICLR 2025), the box is enlarged, since coarse masks may lack the ends of an object, and
the mask prompt is soft, since they are least certain at their outline. HQ-SAM's prompt, a mask of 0 and 255, keeps
good masks but repairs bad ones less, so predictors add the logits of both, unless their masks differ much.
"""

from __future__ import annotations

import cv2
import numpy as np

from ..records import Box, Prompt
from .preprocess import ResizeLongestSide
from .regions import has_several_regions

LEAST_PART = 0.05  # smallest part of a mask in its box, as a fraction of the largest part
ENLARGED = 0.05  # by which a box is enlarged on each side, as a fraction of its width and height
SAME_OBJECT = 0.6  # least IoU of the masks of both prompts whose logits are added
SLOPE, MAX_LOGIT = 180.0, 15.0  # change of the logits over the square root of the mask's area, and their limit


def is_mask_alone(prompt: Prompt) -> bool:
    """Whether a prompt is a coarse mask, not empty, without a box and points."""
    return prompt.box is None and prompt.points is None and prompt.mask is not None and bool(prompt.mask.any())


def prompt_box(prompt: Prompt) -> Box | None:
    """The box of a prompt; of a coarse mask alone, that of the mask; None without either. In pixels of the image."""
    if prompt.mask is None or not is_mask_alone(prompt):
        return prompt.box
    height, width = prompt.mask.shape
    bits = np.ascontiguousarray(prompt.mask).view(np.uint8)
    x0, y0, w, h = cv2.boundingRect(bits)
    x1, y1 = x0 + w, y0 + h
    if has_several_regions(bits[y0:y1, x0:x1]):
        _, _, parts, _ = cv2.connectedComponentsWithStats(bits[y0:y1, x0:x1])
        large = parts[1:][parts[1:, cv2.CC_STAT_AREA] >= LEAST_PART * parts[1:, cv2.CC_STAT_AREA].max()]
        (left, top), (right, bottom) = large[:, :2].min(axis=0), (large[:, :2] + large[:, 2:4]).max(axis=0)
        x0, y0, x1, y1 = x0 + left, y0 + top, x0 + right, y0 + bottom
    across, down = ENLARGED * (x1 - x0), ENLARGED * (y1 - y0)
    return max(x0 - across, 0.0), max(y0 - down, 0.0), min(x1 + across, float(width)), min(y1 + down, float(height))


def distance_logits(prompt: Prompt, resize: ResizeLongestSide) -> np.ndarray:
    """Mask logits, float32 (1, S / 4, S / 4): signed distances from a coarse mask's outline, at most `MAX_LOGIT`."""
    assert prompt.mask is not None
    bits = resize.apply_image(prompt.mask.astype(np.uint8) * 255) > 127
    inside = cv2.distanceTransform(np.pad(bits.view(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_5)[1:-1, 1:-1]
    outside = cv2.distanceTransform((~bits).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    logits = np.full((resize.side, resize.side), -MAX_LOGIT, np.float32)
    values = SLOPE / max(bits.sum(), 1) ** 0.5 * (inside - outside)
    logits[: bits.shape[0], : bits.shape[1]] = values.clip(-MAX_LOGIT, MAX_LOGIT)
    low = resize.side // 4
    means: np.ndarray = logits.reshape(1, low, 4, low, 4).mean(axis=(2, 4))
    return means
