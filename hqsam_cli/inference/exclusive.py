"""Masks of an image without overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..records import Instance, MaskCrop, ProbabilityCrop


def pixel_owners(masks: Sequence[MaskCrop], scores: Sequence[float]) -> np.ndarray:
    """Assign each pixel to one mask: to that with the highest score, of equal scores the smallest, else the first.

    Args:
        masks: at least one, of one image.

    Returns:
        1-based indices of masks, 0 for none, int32 (H, W).
    """
    owners = np.zeros((masks[0].height, masks[0].width), np.int32)
    areas = [np.count_nonzero(mask.bits) for mask in masks]
    for index in sorted(range(len(masks)), key=lambda n: (scores[n], -areas[n], -n)):
        mask = masks[index]
        _part(owners, mask.bits, mask.x, mask.y)[mask.bits] = index + 1
    return owners


def owned(mask: MaskCrop, owners: np.ndarray, number: int) -> MaskCrop:
    """The pixels of a mask that `pixel_owners` assigned to its number; possibly none."""
    return replace(mask, bits=_part(owners, mask.bits, mask.x, mask.y) == number)


def exclusive(instances: Sequence[Instance]) -> list[Instance]:
    """Make masks exclusive; see `pixel_owners`. Probabilities are zero where a pixel belongs to another mask."""
    if not instances:
        return []
    owners = pixel_owners([own.mask for own in instances], [own.score for own in instances])
    return [
        replace(own, mask=owned(own.mask, owners, number), probabilities=_owned_soft(own.probabilities, owners, number))
        for number, own in enumerate(instances, 1)
    ]


def _owned_soft(soft: ProbabilityCrop | None, owners: np.ndarray, number: int) -> ProbabilityCrop | None:
    if soft is None:
        return None
    own = _part(owners, soft.values, soft.x, soft.y)
    return replace(soft, values=np.where((own == number) | (own == 0), soft.values, np.uint8(0)))


def _part(owners: np.ndarray, crop: np.ndarray, x: int, y: int) -> np.ndarray:
    """The view of an image (H, W) at the position of a crop."""
    rows, columns = crop.shape
    return owners[y : y + rows, x : x + columns]
