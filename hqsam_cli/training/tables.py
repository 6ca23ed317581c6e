"""The ablation tables of the paper, run again on any base and data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..configs import Learn
from ..progress import Progress
from .distributed import World
from .run import TrainRun, prepare_model, train
from .validate import mean_scores, validate

BASELINE = "sam"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        name: of its folder; `sam` is the base as it is, nothing is trained.
        title: what it says.
        paper: mIoU and mBIoU in the paper, the mean of the four sets with ViT-L, or None.
        learn, variant: what is trained.
    """

    name: str
    title: str
    paper: tuple[float, float] | tuple[None, float] | None
    learn: Learn = "hq"
    variant: str = "full"


_SAM = Row(BASELINE, "SAM", (79.5, 71.1))
_FULL = Row("full", "HQ-SAM", (89.1, 81.8))
_TOKEN = (87.3, 79.2)

TABLES = {
    "tokens": (
        _SAM,
        Row("context", "context tokens, SAM's feature", (85.2, 77.0), variant="context"),
        Row("boundary", "HQ token, SAM's feature, boundary loss", (87.2, 79.3), variant="boundary"),
        Row("scaled", "HQ token, SAM's feature, scaled by SAM's tokens", (87.0, 78.9), variant="scaled"),
        Row("token", "HQ token, SAM's feature", _TOKEN, variant="token"),
        Row("hq-context", "context tokens, HQ features", (88.9, 81.6), variant="hq-context"),
        _FULL,
    ),
    "fusion": (
        _SAM,
        Row("none", "SAM's feature", _TOKEN, variant="fusion-none"),
        Row("decoder", "SAM's feature, convolved", None, variant="fusion-decoder"),
        Row("early", "+ early feature", (None, 80.1), variant="fusion-early"),
        Row("final", "+ final feature", (None, 81.3), variant="fusion-final"),
        _FULL,
    ),
    "strategies": (
        _SAM,
        Row("all", "all of SAM learns", (38.0, 12.2), learn="all"),
        Row("decoder", "SAM's decoder learns", (87.6, 79.5), learn="decoder"),
        Row("output-token", "SAM's output token learns", (87.6, 79.7), learn="token"),
        _FULL,
    ),
}


def run_table(
    name: str, run: TrainRun, world: World, progress: Progress, stop: Callable[[], bool] = lambda: False
) -> tuple[list[dict[str, Any]], list[str]]:
    """Run the rows of a table, each in its own folder below the run's output, HQ modules always new.

    Returns:
        For each row `name`, `title`, `miou`, `mbiou` and `epoch` of its best epoch, `paper_miou`, `paper_mbiou`;
        and the problems with files that any of them met.
    """
    rows = []
    skipped: set[str] = set()
    for row in TABLES[name]:
        config = replace(run.config, learn=row.learn, variant=row.variant, fresh=True)
        own = replace(run, config=config, output=run.output / row.name, scores_base=False)
        progress.say(f"table {name}: {row.title}")
        if row.name == BASELINE:
            scores = _baseline(own, world)
        else:
            result = train(own, world, progress, stop)
            scores = result.best
            skipped.update(result.skipped)
        paper = row.paper or (None, None)
        found = {key: scores.get(key) for key in ("miou", "mbiou", "epoch")}
        rows.append({"name": row.name, "title": row.title, **found, "paper_miou": paper[0], "paper_mbiou": paper[1]})
    return rows, sorted(skipped)


def _baseline(run: TrainRun, world: World) -> dict[str, Any]:
    """Scores of the base's SAM without the HQ token."""
    if not world.is_main:
        return {}
    model = prepare_model(replace(run, config=replace(run.config, learn="token")), world.device)
    scores, _ = validate(model, run.val, mask_output="sam", dtype=run.config.dtype)
    mean = mean_scores(scores)
    return {"miou": mean.miou, "mbiou": mean.mbiou}
