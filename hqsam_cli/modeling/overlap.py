"""Intersection over union of masks. Importing this module does not import torch."""

from __future__ import annotations

from typing import Any

import numpy as np


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """IoU of two bool masks (H, W); 1 if both are empty, as in evaluation."""
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


def mask_iou(one: Any, other: Any) -> Any:
    """IoU of bool masks (..., h, w), tensors or arrays: (...); 0 if both are empty."""
    union = (one | other).sum(axis=(-2, -1))
    return (one & other).sum(axis=(-2, -1)) / (union + (union == 0))
