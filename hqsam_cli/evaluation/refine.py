"""Refinement of SAM's masks by CascadePSP, which the paper compares with (table 4)."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import numpy as np

from ..errors import HqsamError, UsageError, first_line

REFINED = "sam+cascadepsp"
RefineMask = Callable[[np.ndarray, np.ndarray], np.ndarray]


def cascadepsp(device: str) -> RefineMask:
    """A function that refines a mask, bool (H, W), of an image, uint8 RGB (H, W, 3).

    The package `segmentation-refinement` downloads CascadePSP's weights on first use.

    Raises:
        UsageError: the package is not installed.
        HqsamError: its weights cannot be fetched or loaded.
    """
    try:
        import segmentation_refinement
    except ImportError:
        raise UsageError(
            "`refine` needs the package segmentation-refinement", remedy="pip install 'hqsam-cli[refine]'"
        ) from None
    try:
        with contextlib.redirect_stdout(sys.stderr):
            refiner = segmentation_refinement.Refiner(device=device)
    except Exception as error:
        # Any error there, from the network to the pickle, has the same remedy.
        raise HqsamError(
            f"CascadePSP's weights cannot be loaded ({first_line(error)})",
            option="refine",
            remedy="put them at ~/.segmentation-refinement/model",
        ) from None

    def refined(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        refined: np.ndarray = refiner.refine(image, mask.astype(np.uint8) * 255) > 127
        return refined

    return refined
