"""How good a model is on folders of images with masks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from ..errors import HqsamError, ImageError
from ..evaluation.metrics import boundary_iou, iou
from ..inference.segmenter import Segmenter
from ..models.sam import HQSam, MaskOutput
from ..records import Prompt
from .layouts import PairFolder, read_pair


class Scores(NamedTuple):
    """Mean IoU and mean boundary IoU in percent, and of how many images."""

    miou: float
    mbiou: float
    images: int


def validate(
    model: HQSam, folders: list[PairFolder], *, mask_output: MaskOutput, dtype: torch.dtype
) -> dict[str, Scores]:
    """Scores of each folder; the prompt is the tight box of the mask. Pairs that cannot be read are left out.

    Raises:
        HqsamError: no pair of a folder can be read.
    """
    segmenter = Segmenter(model, mask_output=mask_output, dtype=dtype)
    return {folder.name: _scores(segmenter, folder) for folder in folders}


def mean_scores(scores: dict[str, Scores]) -> Scores:
    """The paper's headline: the mean over the sets, each of equal weight."""
    sets = list(scores.values())
    return Scores(
        sum(s.miou for s in sets) / len(sets), sum(s.mbiou for s in sets) / len(sets), sum(s.images for s in sets)
    )


def _scores(segmenter: Segmenter, folder: PairFolder) -> Scores:
    found: list[tuple[float, float]] = []
    for pair in folder.pairs:
        try:
            image, truth = read_pair(*pair)
        except ImageError as error:
            last = str(error)
            continue
        rows, columns = np.flatnonzero(truth.any(axis=1)), np.flatnonzero(truth.any(axis=0))
        box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
        mask = segmenter.segment([image], [[Prompt(1, box=box)]])[0][0].mask.full()
        found.append((iou(mask, truth > 0), boundary_iou(mask, truth > 0)))
    if not found:
        raise HqsamError(f"--val {folder.name}: no pair of it can be read, the last: {last}")
    miou, mbiou = 100 * np.mean(found, axis=0)
    return Scores(float(miou), float(mbiou), len(found))
