"""IoU, boundary IoU and contour accuracy of binary masks, as in each protocol's reference code."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from ..modeling.overlap import iou

DILATION_RATIO = 0.02
CONTOUR_RATIO = 0.008


def boundary_width(height: int, width: int, ratio: float = DILATION_RATIO) -> int:
    """Boundary width in pixels: `ratio` of the image diagonal, at least 1 (Boundary IoU, Cheng et al., CVPR 2021)."""
    return max(1, round(ratio * float(np.hypot(height, width))))


def boundary(mask: np.ndarray, width: int) -> np.ndarray:
    """Pixels of a bool mask (H, W) within `width` of the background; everything outside the image is background.

    Equals the mask minus `width` iterations of 3 x 3 erosion with zero padding, bit for bit. The erosion is separable:
    it runs on columns, then rows, on packed bits within the mask's bounding box.
    """
    result = np.zeros_like(mask)
    x, y, box_width, box_height = cv2.boundingRect(mask.view(np.uint8))
    if not box_width:
        return result
    box = (slice(y, y + box_height), slice(x, x + box_width))
    inside: np.ndarray = mask[box].view(np.uint8)
    for _ in range(2):
        runs = np.pad(np.packbits(inside, axis=1), ((width, width), (0, 0)))
        # Eroding by twice the length is the intersection of two shifted erosions.
        length, wanted = 1, 2 * width + 1
        while 2 * length <= wanted:
            runs = runs[:-length] & runs[length:]
            length *= 2
        if length < wanted:
            runs = runs[: length - wanted] & runs[wanted - length :]
        # OpenCV transposes in blocks, several times faster than a strided copy.
        inside = cv2.transpose(np.unpackbits(runs, axis=1, count=inside.shape[1]))
    result[box] = mask[box] ^ inside.view(bool)
    return result


def boundary_iou(predicted: np.ndarray, gt: np.ndarray, ratio: float = DILATION_RATIO) -> float:
    """Boundary IoU of two bool masks (H, W); 1 if both are empty."""
    width = boundary_width(gt.shape[0], gt.shape[1], ratio)
    return iou(boundary(predicted, width), boundary(gt, width))


def contour_f(predicted: np.ndarray, gt: np.ndarray, ratio: float = CONTOUR_RATIO) -> float:
    """DAVIS contour accuracy F of two bool masks (H, W) (Perazzi et al., CVPR 2016).

    The F-score of the fractions of each contour within `ratio` of the diagonal of the other; 1 if both masks are empty,
    0 if only one is.
    """
    ours, theirs = _contour(predicted), _contour(gt)
    radius = int(np.ceil(ratio * float(np.hypot(*gt.shape))))
    grid = np.arange(-radius, radius + 1)
    disk = (grid[:, None] ** 2 + grid**2 <= radius**2).astype(np.uint8)
    count, true_count = np.count_nonzero(ours), np.count_nonzero(theirs)
    if not count and not true_count:
        return 1.0
    if not count or not true_count:
        return 0.0
    near_ours, near_theirs = (cv2.dilate(c.view(np.uint8), disk).view(bool) for c in (ours, theirs))
    precision = np.count_nonzero(ours & near_theirs) / count
    recall = np.count_nonzero(theirs & near_ours) / true_count
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _contour(mask: np.ndarray) -> np.ndarray:
    """Pixels unlike the right, lower or lower right neighbor; the last row and column compare along one axis."""
    east, south, both = mask.copy(), mask.copy(), mask.copy()
    east[:, :-1] = mask[:, 1:]
    south[:-1] = mask[1:]
    both[:-1, :-1] = mask[1:, 1:]
    contour: np.ndarray = (mask ^ east) | (mask ^ south) | (mask ^ both)
    contour[-1] = mask[-1] ^ east[-1]
    contour[:, -1] = mask[:, -1] ^ south[:, -1]
    contour[-1, -1] = False
    return contour


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rank correlation of two samples, -1 to 1; None if one of them is constant."""
    ranks = [_ranks(np.asarray(values)) for values in (first, second)]
    if any(own.min() == own.max() for own in ranks):
        return None
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of values (N,); equal ones share their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    means: np.ndarray = np.cumsum(counts) - (counts - 1) / 2
    return means[places]


Metric = Callable[[np.ndarray, np.ndarray], float]

# Per-mask metrics from 0 to 1; tables report means in percent, such as mIoU. Add a metric by registering a function.
METRICS: dict[str, Metric] = {"IoU": iou, "BIoU": boundary_iou}
VIDEO_METRICS: dict[str, Metric] = {"J": iou, "F": contour_f}


def score(predicted: np.ndarray, gt: np.ndarray, metrics: dict[str, Metric] = METRICS) -> dict[str, float]:
    """Compute each metric of a mask against its ground truth, bool (H, W)."""
    return {name: metric(predicted, gt) for name, metric in metrics.items()}
