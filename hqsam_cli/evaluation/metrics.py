"""IoU and boundary IoU of binary masks, as the authors of HQ-SAM compute them."""

from __future__ import annotations

import cv2
import numpy as np

DILATION_RATIO = 0.02


def iou(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two bool masks (H, W); 1 where both are empty."""
    union = np.count_nonzero(predicted | truth)
    return np.count_nonzero(predicted & truth) / union if union else 1.0


def boundary_width(height: int, width: int, ratio: float = DILATION_RATIO) -> int:
    """Width of the boundary in pixels: `ratio` of the diagonal, at least 1 (Boundary IoU, Cheng et al., CVPR 2021)."""
    return max(1, round(ratio * float(np.hypot(height, width))))


def boundary(mask: np.ndarray, width: int) -> np.ndarray:
    """Pixels of a mask within `width` of what is not mask; the border of the image counts as not mask.

    Equal bit for bit to the mask without its `width`-fold 3 x 3 erosion on a zero-padded copy: that erosion
    keeps the pixels whose chessboard distance to the nearest zero is over `width`. Only the box around the
    mask is looked at.

    Args:
        mask: bool (H, W).

    Returns:
        bool (H, W).
    """
    result = np.zeros_like(mask)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return result
    box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    padded = np.pad(mask[box].astype(np.uint8), 1)
    distance = cv2.distanceTransform(padded, cv2.DIST_C, 3)[1:-1, 1:-1]
    result[box] = mask[box] & (distance <= width)
    return result


def boundary_iou(predicted: np.ndarray, truth: np.ndarray, ratio: float = DILATION_RATIO) -> float:
    """IoU of the boundaries of two bool masks (H, W); 1 where both are empty."""
    width = boundary_width(truth.shape[0], truth.shape[1], ratio)
    return iou(boundary(predicted, width), boundary(truth, width))
