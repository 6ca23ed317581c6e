"""Tiles: overlapping squares within the box of an object with gaps, which is segmented again in each of them.

Spokes and twigs are thinner than the logits of a whole object, so that SAM fills the gaps between them with confidence,
while the HQ token leaves them open, less surely. Where their masks differ, the image decides between the mask of the
window and that of the tiles: by how much the color of a pixel tells whether the mask has it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..records import Instance
from .postprocess import SCALE
from .preprocess import ResizeLongestSide

LEVELS = 8  # per channel, of the colors that are told apart
MOST_PIXELS = 2**20  # looked at


def tent(resize: ResizeLongestSide) -> Tensor:
    """Weights of the logits of a tile, (1, 1, S / 4, S / 4): 1 in its middle, 0 at its edges and in the padding."""
    centers = SCALE * (torch.arange(resize.side // SCALE) + 0.5)
    rows, columns = (
        (1 - (2 * centers / length - 1).abs()).clamp(min=0) for length in (resize.input_height, resize.input_width)
    )
    return rows[None, None, :, None] * columns


def better_explained(own: Instance, other: Instance, pixels: np.ndarray, part: tuple[slice, slice]) -> Instance:
    """An instance, with the mask of another one if that tells more about the colors of a part of the image.

    Args:
        pixels: of the part, RGB uint8 (h, w, 3).
        part: its rows and columns.
    """
    step = max(1, round((pixels.shape[0] * pixels.shape[1] / MOST_PIXELS) ** 0.5))
    colors = (pixels[::step, ::step] // (256 // LEVELS)) @ np.array([LEVELS**2, LEVELS, 1])
    before, after = (information(colors, one.mask.full()[part][::step, ::step]) for one in (own, other))
    is_better = all(new > old for old, new in zip(before, after, strict=True))
    return replace(own, mask=other.mask, probabilities=other.probabilities) if is_better else own


def information(colors: np.ndarray, mask: np.ndarray) -> tuple[float, float]:
    """Mutual information of the colors and a mask, in bits per pixel, and as a fraction of the mask's entropy.

    Small masks have few bits, and large ones a small fraction.

    Args:
        colors: integers from 0 to LEVELS³ - 1, (h, w).
        mask: bool (h, w).
    """
    counts = np.bincount((2 * colors + mask).ravel(), minlength=2 * LEVELS**3).reshape(-1, 2)
    shares = counts / counts.sum()
    of_mask = _entropy(shares.sum(axis=0))
    bits = _entropy(shares.sum(axis=1)) + of_mask - _entropy(shares)
    return bits, bits / of_mask if of_mask else 0.0


def _entropy(shares: np.ndarray) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log2(present)).sum())
