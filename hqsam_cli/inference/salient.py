"""The most salient of the objects found in an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..records import Instance, MaskCrop

# Tuned on 100 images of ECSSD: spread of the Gaussian around the center, its exponent, and the cost of border contact.
SPREAD, CENTER, CONTACT = 0.2, 0.4, 4.0


def most_salient(found: Sequence[Instance]) -> list[Instance]:
    """The instance with the highest salience; empty if there is none."""
    return [max(found, key=lambda own: own.score * salience(own.mask))] if found else []


def salience(mask: MaskCrop) -> float:
    """How salient an object is by its place, 0 to 1: high if it is large, central, and not cut by the image border."""
    full = mask.full()
    near_y, near_x = (np.exp(-(((np.arange(n) + 0.5) / n - 0.5) ** 2) / (2 * SPREAD**2)) for n in full.shape)
    share = float(near_y @ full @ near_x) / float(near_y.sum() * near_x.sum())
    contact = np.mean([full[0].mean(), full[-1].mean(), full[:, 0].mean(), full[:, -1].mean()])
    return float(share**CENTER * np.exp(-CONTACT * contact))
