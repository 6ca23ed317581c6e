"""Masks of an image without overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..records import Instance, MaskCrop, ProbabilityCrop


def exclusive(instances: Sequence[Instance]) -> list[Instance]:
    """Assign each pixel to one mask: to that with the highest score, of equal scores the smallest, else the first.

    A mask that loses all its pixels becomes empty. Probabilities are zero where a pixel belongs to another mask.
    """
    if not instances:
        return []
    masks = [instance.mask for instance in instances]
    owners = np.zeros((masks[0].height, masks[0].width), np.int32)  # 1-based index, 0 for none
    areas = [np.count_nonzero(mask.bits) for mask in masks]
    for index in sorted(range(len(masks)), key=lambda n: (instances[n].score, -areas[n], -n)):
        _part(owners, masks[index].bits, masks[index].x, masks[index].y)[masks[index].bits] = index + 1
    return [_without_others(instance, owners, number) for number, instance in enumerate(instances, 1)]


def _without_others(instance: Instance, owners: np.ndarray, number: int) -> Instance:
    """The mask and probabilities of an instance, where no other instance owns the pixel."""
    mask, soft = instance.mask, instance.probabilities
    bits = _part(owners, mask.bits, mask.x, mask.y) == number
    if soft is not None:
        own = _part(owners, soft.values, soft.x, soft.y)
        soft = ProbabilityCrop(np.where((own == number) | (own == 0), soft.values, 0).astype(np.uint8), soft.x, soft.y)
    return replace(instance, mask=MaskCrop(bits, mask.x, mask.y, mask.width, mask.height), probabilities=soft)


def _part(owners: np.ndarray, crop: np.ndarray, x: int, y: int) -> np.ndarray:
    """The view of an image (H, W) at the position of a crop."""
    rows, columns = crop.shape
    return owners[y : y + rows, x : x + columns]
