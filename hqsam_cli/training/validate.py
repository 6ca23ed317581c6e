"""Validation on folders of images with masks, exactly as by `hqsam eval`."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

from ..configs import EvalConfig, MaskOutput
from ..data.pairs import ImageMaskFolder
from ..errors import HqsamError
from ..evaluation.mask_sets import MaskSet
from ..evaluation.prompts import prompt_rules
from ..evaluation.protocols import Evaluator
from ..evaluation.scores import score_images
from ..inference.device import resolve_dtype
from ..inference.predictor import Predictor, prepare_for_inference
from ..modeling.sam import HQSam
from .history import Scores


def validate(
    model: HQSam, folders: Sequence[ImageMaskFolder], *, mask_output: MaskOutput
) -> tuple[dict[str, Scores], list[str]]:
    """Score each folder as `hqsam eval` scores it by default; also returns the errors of pairs that cannot be scored.

    The model is unchanged: a copy is scored, prepared for inference in the default precision of an evaluation.
    Folders of equal names get a number. Raises an HqsamError if no pair of a folder can be scored.
    """
    config, device = EvalConfig(), model.device
    dtype = resolve_dtype(config.dtype, device)
    prepared = prepare_for_inference(deepcopy(model), device, dtype)
    evaluator = Evaluator(Predictor(prepared, dtype=dtype), "deploy", [mask_output])
    scores: dict[str, Scores] = {}
    problems: list[str] = []
    for number, folder in enumerate(folders):
        same = [before.name for before in folders[:number]].count(folder.name)
        name = f"{folder.name} ({same + 1})" if same else folder.name
        task = MaskSet(key=name, items=folder.pairs, evaluator=evaluator, rules=prompt_rules(config.prompt))
        images = list(score_images(task, folder.pairs))
        errors = [image.error for image in images if image.error is not None]
        (row,) = task.rows(images)
        if not row.n:
            reason = f"none of its pairs can be scored, the last: {errors[-1]}"
            raise HqsamError(reason, option="val", value=folder.name)
        scores[name] = Scores(row.figures["mIoU"], row.figures["mBIoU"], row.n)
        problems += errors
    return scores, problems
