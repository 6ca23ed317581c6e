"""The probability that a mask is one object, by logistic regression on measures of the mask.

The measures are the mean image embedding in the mask, which tells things from stuff, and the shape of the mask at
decoder resolution, which tells objects from fragments. All are cheap beside the mask itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

STRIDE = 4  # from samples of the embedding to low-resolution masks
SHAPE = ("size", "predicted_iou", "contact", "fill", "compactness", "largest_part", "holes")


@dataclass(frozen=True, slots=True)
class Objectness:
    """A logistic regression.

    Attributes:
        weight: of each measure, float32 (7,) for those of `SHAPE` alone, or (7 + C,) with the embedding, which must be
            of the encoder that it was fitted to.
        bias: of their sum.
    """

    weight: np.ndarray
    bias: float

    def __call__(self, embedding: Tensor, masks: Sequence[np.ndarray], predicted_iou: Sequence[float]) -> np.ndarray:
        """The probability that each of n masks is one object, float (n,); arguments as in `measure_masks`."""
        logits = measure_masks(embedding, masks, predicted_iou)[:, : len(self.weight)] @ self.weight + self.bias
        return np.asarray(1 / (1 + np.exp(-logits)))

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], *, with_embedding: bool) -> Objectness:
        """The regression with or without the embedding, from the tensors of `objectness.safetensors`."""
        name = "embedding" if with_embedding else "shape"
        return cls(tensors[f"{name}.weight"], float(tensors[f"{name}.bias"][0]))


def measure_masks(embedding: Tensor, masks: Sequence[np.ndarray], predicted_iou: Sequence[float]) -> np.ndarray:
    """Measures of n masks of an image, float32 (n, 7 + C): those of `SHAPE`, and the mean embedding.

    Args:
        embedding: image embedding (C, S / 16, S / 16).
        masks: at decoder resolution without padding, bool (h, w) each.
        predicted_iou: of each mask.
    """
    if not len(masks):
        return np.zeros((0, len(SHAPE) + len(embedding)), np.float32)
    shapes = np.array([_shape(mask) for mask in masks], np.float32)
    measured = np.insert(shapes, SHAPE.index("predicted_iou"), np.asarray(predicted_iou, np.float32), axis=1)
    return np.concatenate([measured, _mean_embeddings(embedding, np.stack(masks))], axis=1)


def _shape(mask: np.ndarray) -> list[float]:
    """The measures of `SHAPE` except the predicted IoU: fractions, of which all but the size and the compactness are of
    the mask, its box or the image border."""
    bits = mask.view(np.uint8)
    area = int(np.count_nonzero(bits))
    if not area:
        return [0.0] * (len(SHAPE) - 1)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)
    perimeter = np.count_nonzero(mask[1:] != mask[:-1]) + np.count_nonzero(mask[:, 1:] != mask[:, :-1])
    contact = np.mean([side.mean() for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1])])
    _, _, parts, _ = cv2.connectedComponentsWithStats(bits, connectivity=8)
    outlines, _ = cv2.findContours(bits, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = np.count_nonzero(cv2.drawContours(np.zeros_like(bits), outlines, -1, 1, cv2.FILLED))
    return [
        np.sqrt(area / mask.size),
        contact,
        area / box,
        16 * area / max(int(perimeter), 1) ** 2,
        parts[1:, cv2.CC_STAT_AREA].max() / area,
        1 - area / filled,
    ]


def _mean_embeddings(embedding: Tensor, masks: np.ndarray) -> np.ndarray:
    """The mean embedding in each of the masks, bool (n, h, w): float32 (n, C)."""
    height, width = masks.shape[1:]
    low, across = (-(-length // STRIDE) for length in (height, width))
    padding = (0, STRIDE * across - width, 0, STRIDE * low - height)
    bits = torch.from_numpy(masks).to(embedding.device, torch.float32)
    weights = functional.avg_pool2d(functional.pad(bits, padding)[:, None], STRIDE).flatten(1)
    sums = weights @ embedding[:, :low, :across].float().flatten(1).T
    means: np.ndarray = (sums / weights.sum(dim=1, keepdim=True).clamp(min=1e-6)).cpu().numpy()
    return means
