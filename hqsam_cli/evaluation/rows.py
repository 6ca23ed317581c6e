"""Rows of an evaluation table: computed from scores, printed, and stored as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..errors import HqsamError
from .metrics import rank_correlation

if TYPE_CHECKING:
    from .scores import ImageScores, Score

# Per image: the sum of a metric over objects, in percent, and the number of objects.
Samples: TypeAlias = dict[str, tuple[float, float]]
# JSON keys of row fields.
_FIELDS = {name: name for name in ("model", "dataset", "protocol", "prompt")} | {"mask_output": "output"}
_FIELDS |= {name: name for name in ("n", "figures", "paper", "curve")} | {"images": "samples"}
Table: TypeAlias = tuple[list[str], list[list[str]]]  # headings and cells


@dataclass(frozen=True, slots=True)
class Row:
    """Metrics of a dataset, prompt and mask output, in percent or clicks, over `n` images.

    `curve` holds x and y of a plot: boundary width and mBIoU, or clicks or points and mIoU.
    """

    dataset: str
    prompt: str
    output: str
    n: int
    figures: dict[str, float]
    paper: dict[str, float] = field(default_factory=dict)  # reported in the paper
    curve: dict[str, list[float]] = field(default_factory=dict)
    samples: dict[str, Samples] = field(default_factory=dict, repr=False)  # per-image scores by metric
    model: str = ""
    protocol: str = ""

    def to_dict(self) -> dict[str, object]:
        """Convert to a JSON object; values are not rounded, and null if missing."""
        values = {key: getattr(self, name) for key, name in _FIELDS.items()}
        return {**values, "figures": {m: value if math.isfinite(value) else None for m, value in self.figures.items()}}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Row:
        """The inverse of `to_dict`."""
        own = {name: values[key] for key, name in _FIELDS.items()}
        own["figures"] = {m: math.nan if value is None else float(value) for m, value in own["figures"].items()}
        own["samples"] = {m: {name: tuple(s) for name, s in images.items()} for m, images in own["samples"].items()}
        return cls(**own)


def select_scores(images: Iterable[ImageScores], prompt: str, output: str) -> dict[str, Score]:
    """Scores of a prompt and mask output, by image."""
    return {
        image.name: score
        for image in images
        for score in image.scores
        if (score.prompt, score.mask_output) == (prompt, output)
    }


def summarize(scores: Mapping[str, Score]) -> tuple[dict[str, float], dict[str, Samples]]:
    """Mean of each metric over all objects, in percent, and its samples.

    `Spearman` is the rank correlation of predicted IoU and IoU over all objects; absent if undefined.
    """
    objects = [own for score in scores.values() for own in score.objects]
    figures, samples = {}, {}
    for name in objects[0] if objects else ():
        figures[f"m{name}"] = 100 * float(np.mean([own[name] for own in objects]))
        samples[f"m{name}"] = {
            image: (100 * sum(own[name] for own in score.objects), float(len(score.objects)))
            for image, score in scores.items()
            if score.objects
        }
    estimates = [value for score in scores.values() for value in score.predicted_iou]
    correlation = rank_correlation(estimates, [own["IoU"] for own in objects]) if estimates else None
    if correlation is not None:
        figures["Spearman"] = 100 * correlation
    return figures, samples


def mean_rows(name: str, sets: Sequence[Sequence[Row]]) -> list[Row]:
    """Unweighted means over datasets, row by row, as in the paper's main results."""
    rows = []
    for group in zip(*sets, strict=True):
        first = group[0]
        metrics = [metric for metric in first.figures if all(metric in row.figures for row in group)]
        figures = {metric: float(np.mean([row.figures[metric] for row in group])) for metric in metrics}
        rows.append(Row(name, first.prompt, first.output, sum(row.n for row in group), figures))
    return rows


def table_of(rows: Sequence[Row]) -> Table:
    """Format rows as a table, with the gain over SAM's row of the same model and the paper's results."""
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.figures))
    several, with_paper = len({row.model for row in rows}) > 1, any(row.paper for row in rows)
    columns = [*(["model"] if several else []), "data set", "n", "prompt", "masks", *metrics]
    columns += ["paper"] if with_paper else []
    baselines = {(row.model, row.dataset, row.prompt): row for row in reversed(rows) if row.output == "sam"}
    cells = []
    for row in rows:
        base = baselines.get((row.model, row.dataset, row.prompt))
        line = [*([row.model] if several else []), row.dataset, str(row.n), row.prompt, row.output]
        for metric in metrics:
            value = row.figures.get(metric, math.nan)
            gain = math.nan if base is None or base is row else value - base.figures.get(metric, math.nan)
            line.append("-" if math.isnan(value) else f"{value:.1f}" + ("" if math.isnan(gain) else f" ({gain:+.1f})"))
        if with_paper:
            line.append(" / ".join(f"{row.paper[m]:.1f}" for m in metrics if m in row.paper))
        cells.append(line)
    return columns, cells


def read_rows(path: Path) -> list[Row]:
    """Read the rows of an evaluation's JSON file. Raises an HqsamError for other files."""
    try:
        return [Row.from_dict(row) for row in json.loads(path.read_bytes())["rows"]]
    except OSError as error:
        raise HqsamError(f"cannot be read ({error.strerror})", file=path, remedy="check the path") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        remedy = "pass a file written by hqsam eval --json of this version"
        raise HqsamError("is not the JSON of an evaluation with its images", file=path, remedy=remedy) from None
