"""Masks without overlap."""

from __future__ import annotations

import numpy as np
from pycocotools import mask as coco_mask

from hqsam_cli.inference.exclusive import exclusive
from hqsam_cli.records import Instance, MaskCrop, ProbabilityCrop, Prompt

WIDTH, HEIGHT = 30, 20


def rectangle(x: int, y: int, w: int, h: int, score: float, *, soft: bool = False) -> Instance:
    probabilities = ProbabilityCrop(np.full((h + 2, w + 2), 200, np.uint8), x - 1, y - 1) if soft else None
    mask = MaskCrop(np.ones((h, w), bool), x, y, WIDTH, HEIGHT)
    return Instance(Prompt(score=score), mask, 1.0, probabilities=probabilities)


def owners(instances: list[Instance]) -> np.ndarray:
    """The number of the instance of each pixel, which no two share."""
    full = np.stack([instance.mask.full() for instance in instances])
    assert full.sum(axis=0).max() == 1
    return np.where(full.any(axis=0), full.argmax(axis=0) + 1, 0)


def test_each_pixel_belongs_to_the_best_mask_and_of_equal_ones_to_the_smallest() -> None:
    given = [rectangle(2, 2, 20, 10, 0.5), rectangle(10, 5, 15, 10, 0.9), rectangle(4, 4, 3, 3, 0.5)]
    found = owners(exclusive(given))
    assert (found[5:15, 10:25] == 2).all() and (found[4:7, 4:7] == 3).all()
    assert np.array_equal(found > 0, np.any([own.mask.full() for own in given], axis=0))
    assert [own.prompt for own in exclusive(given)] == [own.prompt for own in given]
    equal = [rectangle(2, 2, 4, 4, 0.5), rectangle(4, 2, 4, 4, 0.5)]
    assert (owners(exclusive(equal))[2:6, 2:8] == [1, 1, 1, 1, 2, 2]).all()


def test_a_mask_under_another_is_empty() -> None:
    under, over = exclusive([rectangle(5, 5, 2, 2, 0.1), rectangle(2, 2, 10, 10, 0.9)])
    annotation = under.to_coco(1)
    assert (annotation["area"], annotation["bbox"]) == (0, [0.0] * 4)
    assert not coco_mask.decode(annotation["segmentation"]).any()
    assert over.to_coco(1)["area"] == 100
    assert exclusive([]) == []


def test_soft_edges_end_where_another_mask_begins() -> None:
    low, high = exclusive([rectangle(2, 2, 6, 6, 0.1, soft=True), rectangle(8, 2, 6, 6, 0.9, soft=True)])
    assert low.probabilities is not None and high.probabilities is not None
    assert (low.probabilities.values[1:-1, -1] == 0).all() and (low.probabilities.values[:, :-1] == 200).all()
    assert (high.probabilities.values[1:-1, 0] == 0).all()
