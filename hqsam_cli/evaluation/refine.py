"""Refinement of SAM masks by CascadePSP, a baseline of the paper (table 4)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import numpy as np

from ..errors import HqsamError, UsageError, first_line
from ..io.masks import is_foreground

REFINED = "sam+cascadepsp"
RefineMask = Callable[[np.ndarray, np.ndarray], np.ndarray]


def cascadepsp(device: str) -> RefineMask:
    """Return a function that refines a mask, bool (H, W), of an image, uint8 RGB (H, W, 3).

    Raises a UsageError if the package `segmentation-refinement` is not installed, an HqsamError if its weights, which
    are downloaded on first use, cannot be loaded.
    """
    try:
        import segmentation_refinement
    except ImportError:
        remedy = "pip install 'hqsam-cli[refine]'"
        raise UsageError("`refine` needs the package segmentation-refinement", remedy=remedy) from None
    try:
        with contextlib.redirect_stdout(sys.stderr):
            refiner = segmentation_refinement.Refiner(device=device)
    except Exception as error:
        # All errors here, from network to unpickling, have the same remedy.
        reason = f"CascadePSP's weights cannot be loaded ({first_line(error)})"
        remedy = "put them at ~/.segmentation-refinement/model"
        raise HqsamError(reason, option="refine", remedy=remedy) from None

    def refined(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        return is_foreground(refiner.refine(image, mask.astype(np.uint8) * 255))

    return refined
