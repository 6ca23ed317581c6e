"""Validation on folders of images with masks."""

from __future__ import annotations

from functools import partial

import torch

from ..configs import MaskOutput
from ..data.pairs import ImageMaskFolder
from ..errors import HqsamError
from ..evaluation.mask_sets import MaskSet
from ..evaluation.prompts import prompt_rules
from ..evaluation.protocols import Evaluator
from ..evaluation.scores import score_image
from ..inference.predictor import Predictor
from ..modeling.sam import HQSam
from .history import Scores


def validate(
    model: HQSam, folders: list[ImageMaskFolder], *, mask_output: MaskOutput, dtype: str
) -> tuple[dict[str, Scores], list[str]]:
    """Score each folder as `hqsam eval --protocol deploy`; also returns the errors of pairs that cannot be scored.

    Folders of equal names get a number. Raises an HqsamError if no pair of a folder can be scored.
    """
    evaluator = Evaluator(Predictor(model, dtype=getattr(torch, dtype)), "deploy", [mask_output])
    scores: dict[str, Scores] = {}
    problems: list[str] = []
    for number, folder in enumerate(folders):
        same = [before.name for before in folders[:number]].count(folder.name)
        name = f"{folder.name} ({same + 1})" if same else folder.name
        task = MaskSet(key=name, items=folder.pairs, evaluator=evaluator, rules=prompt_rules("box"))
        images = [score_image(task, pair, partial(task.load, pair)) for pair in folder.pairs]
        errors = [image.error for image in images if image.error is not None]
        (row,) = task.rows(images)
        if not row.n:
            raise HqsamError(
                f"none of its pairs can be scored, the last: {errors[-1]}", option="val", value=folder.name
            )
        scores[name] = Scores(row.figures["mIoU"], row.figures["mBIoU"], row.n)
        problems += errors
    return scores, problems
