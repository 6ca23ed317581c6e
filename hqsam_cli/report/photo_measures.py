"""Measures of a mask in its image: whether its boundary follows edges, and its colors differ from the surroundings."""

from __future__ import annotations

import cv2
import numpy as np

from ..records import MaskCrop

SIDE = 160  # longer side in pixels of the analyzed crop: a mask and its surroundings
MARGIN = 0.2  # around a mask, as a fraction of its longer side
BAND = 10  # pixels of the crop on either side of a boundary that it is compared with
WINDOW = 0.25  # minimum length of a stretch without an edge, as a fraction of the boundary
LINE, BEND = 0.18, 1.2  # length of a straight stretch as a fraction of the boundary, and its tolerance in pixels
RING = 12  # width in pixels of the surroundings of a mask
ODDS = 1.5
FEWEST_POINTS = 8  # minimum of a boundary, or a stretch of it
PATCH = 5  # pixels; smaller spots of a color are noise


def photo_measures(mask: MaskCrop, photo: np.ndarray) -> dict[str, float]:
    """How much a mask disagrees with the photo; empty if too little of its boundary is within the photo.

    The gradient at each boundary point is ranked among those nearby: 0.5 is chance, 1 the strongest.

    Args:
        photo: uint8 RGB (H, W, 3).

    Returns:
        `edges` is 1 - the mean rank, `gap` that of the worst stretch, and `straight` that of the worst straight one.
        `holes` is the fraction of the filled mask in holes, where holes on strong edges count less, and `foreign` the
        fraction that looks like the surroundings.
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
    small = resized(bits, scale)
    pixels = cv2.resize(photo[y0:y1, x0:x1], small.shape[::-1], interpolation=cv2.INTER_AREA)
    ranks = _gradient_ranks(pixels, small)
    outlines, tree = cv2.findContours(small, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    if tree is None:
        return {}
    left, right = 2 if x0 == 0 else 0, small.shape[1] - (2 if x1 == mask.width else 0)
    top, bottom = 2 if y0 == 0 else 0, small.shape[0] - (2 if y1 == mask.height else 0)
    known, worst, straight, holes, length = [], 0.0, 0.0, 0.0, sum(map(len, outlines))
    for outline, parent in zip(outlines, tree[0, :, 3], strict=True):
        column, row = outline[:, 0, 0], outline[:, 0, 1]
        along = ranks[row, column]
        if parent >= 0:
            holes += cv2.contourArea(outline) * min(2 * (1 - float(along.mean())), 1.0)
        # Where the photo border cuts off an object, its boundary is outside.
        within = (left <= column) & (column < right) & (top <= row) & (row < bottom)
        known.append(along[within])
        along = np.where(within, along, 1.0)
        worst = max(worst, float(_missing_edges(along, WINDOW * length).max(initial=0.0)))
        missing = _missing_edges(along, LINE * length)
        if len(missing):
            is_line = _is_straight(outline[:, 0], max(round(LINE * length), FEWEST_POINTS))
            straight = max(straight, float(missing.max(where=is_line, initial=0.0)))
    ranked = np.concatenate(known)
    if len(ranked) < FEWEST_POINTS:
        return {}
    stretches = {"edges": 1 - float(ranked.mean()), "gap": worst, "straight": straight}
    return {**stretches, "holes": holes / max(float(small.sum()), 1.0), "foreign": _foreign(pixels, small)}


def _missing_edges(along: np.ndarray, length: float) -> np.ndarray:
    """1 - the mean rank of each stretch of a closed outline, by its first point; empty if the outline is shorter."""
    span = max(round(length), FEWEST_POINTS)
    if len(along) < span:
        return np.zeros(0)
    sums = np.r_[0.0, along, along[:span]].cumsum()
    return np.asarray(1 - (sums[span : span + len(along)] - sums[: len(along)]) / span)


def _is_straight(outline: np.ndarray, span: int) -> np.ndarray:
    """Whether each stretch of `span` points of a closed outline is straight; bool (n,), by its first point.

    Args:
        outline: (n, 2) x, y.
    """
    count = len(outline)
    points = np.concatenate([outline, outline[: span + 1]]).astype(float)
    begin, chord = points[:count], points[span : span + count] - points[:count]
    straight = np.ones(count, bool)
    for share in (0.25, 0.5, 0.75):
        x, y = (points[round(share * span) :][:count] - begin).T
        bend = np.abs(chord[:, 0] * y - chord[:, 1] * x) / np.maximum(np.hypot(*chord.T), 1e-6)
        straight &= bend <= BEND
    return straight


def _foreign(pixels: np.ndarray, mask: np.ndarray) -> float:
    """The fraction of a mask in patches with the colors of the surroundings, such as a filled hole.

    A color belongs to the surroundings if it is `ODDS` times as frequent there, so where both look alike, as for a
    camouflaged animal, nothing counts.
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
    """Rank of the strongest edge next to each pixel among those near the boundary, 0 to 1, float (h, w)."""
    smooth = cv2.GaussianBlur(pixels, (0, 0), 1.0).astype(np.float32)
    across, down = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    gradient = cv2.dilate(np.sqrt(across**2 + down**2).max(axis=2), np.ones((3, 3), np.uint8))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * BAND + 1, 2 * BAND + 1))
    near = np.sort(gradient[cv2.dilate(mask, disc) != cv2.erode(mask, disc)])
    return np.searchsorted(near, gradient) / max(len(near), 1)


def resized(bits: np.ndarray, scale: float) -> np.ndarray:
    """Downscale a mask, uint8 of 0 and 1; a pixel is set if half of its area is."""
    if scale == 1.0:
        return bits
    size = max(1, round(bits.shape[1] * scale)), max(1, round(bits.shape[0] * scale))
    return (cv2.resize(bits * 255, size, interpolation=cv2.INTER_AREA) >= 128).astype(np.uint8)
