"""How good a model is on folders of images with masks."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..configs import MaskOutput
from ..data.pairs import ImageMaskFolder
from ..errors import HqsamError, ImageError
from ..evaluation.mask_sets import MaskSetScorer
from ..evaluation.prompts import prompt_rules
from ..evaluation.protocols import Evaluator
from ..evaluation.report import mask_set_rows
from ..evaluation.runner import Record
from ..inference.predictor import Predictor
from ..modeling.sam import HQSam


class Scores(NamedTuple):
    """Mean IoU and mean boundary IoU in percent, and of how many images."""

    miou: float
    mbiou: float
    images: int


def validate(
    model: HQSam, folders: list[ImageMaskFolder], *, mask_output: MaskOutput, dtype: str
) -> tuple[dict[str, Scores], list[str]]:
    """What `hqsam eval --protocol deploy` says of each folder, and of the pairs that cannot be scored, which it omits.

    Folders of equal names are told apart by numbers.

    Raises:
        HqsamError: no pair of a folder can be scored.
    """
    evaluator = Evaluator(Predictor(model, dtype=getattr(torch, dtype)), "deploy", [mask_output])
    scores: dict[str, Scores] = {}
    problems: list[str] = []
    for number, folder in enumerate(folders):
        same = [before.name for before in folders[:number]].count(folder.name)
        name = f"{folder.name} ({same + 1})" if same else folder.name
        scores[name], own = _scores(evaluator, folder)
        problems += own
    return scores, problems


def mean_scores(scores: dict[str, Scores]) -> Scores:
    """The paper's headline: the mean over the sets, each of equal weight."""
    sets = list(scores.values())
    return Scores(
        sum(s.miou for s in sets) / len(sets), sum(s.mbiou for s in sets) / len(sets), sum(s.images for s in sets)
    )


def _scores(evaluator: Evaluator, folder: ImageMaskFolder) -> tuple[Scores, list[str]]:
    rules = prompt_rules("box")
    scorer = MaskSetScorer(evaluator, rules)
    records: list[Record] = []
    for pair in folder.pairs:
        record: Record = {"file_name": pair.name, "error": None}
        try:
            record |= scorer.record(pair, scorer.loaded(pair))
        except ImageError as error:
            record["error"] = str(error)
        records.append(record)
    (row,) = mask_set_rows(folder.name, "", records, rules, evaluator.outputs, ())
    if not row.n:
        raise HqsamError(
            f"no pair of it can be scored, the last: {records[-1]['error']}", option="val", value=folder.name
        )
    problems = [record["error"] for record in records if record["error"] is not None]
    return Scores(row.figures["mIoU"], row.figures["mBIoU"], row.n), problems
