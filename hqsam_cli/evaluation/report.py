"""From records to rows: what is printed, plotted and written to JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..errors import HqsamError
from ..io.atomic import atomic_file
from .clicks import MOST_CLICKS, TARGETS, clicks_until
from .paper import paper_figures
from .prompts import PromptRule
from .runner import Record

SCHEMA = 1  # of the JSON; what it means is said in docs/evaluate.md


# Of images, the sum of a metric over their objects in percent, and how many these are.
Samples: TypeAlias = dict[str, tuple[float, float]]


@dataclass(slots=True)
class Row:
    """One line of a table: a data set, a prompt and a mask output.

    Attributes:
        model: what its user calls it.
        n: images the figures are over.
        figures: by metric; percent, but for clicks.
        paper: what the paper prints for them.
        curve: x and y of a plot: boundary width against mBIoU, or clicks or points against mIoU.
        samples: by metric, what its mean is made of.
    """

    dataset: str
    prompt: str
    output: str
    n: int
    figures: dict[str, float]
    paper: dict[str, float] = field(default_factory=dict)
    curve: dict[str, list[float]] = field(default_factory=dict)
    samples: dict[str, Samples] = field(default_factory=dict, repr=False)
    model: str = ""
    protocol: str = ""


def mask_set_rows(
    dataset: str,
    architecture: str,
    records: Sequence[Record],
    rules: Sequence[PromptRule],
    outputs: Sequence[str],
    ratios: Sequence[float],
) -> list[Row]:
    """Rows of a set of one object an image: means over images of means over trials."""
    scored = [record for record in records if record["error"] is None]
    rows = []
    for rule in rules:
        for output in outputs:
            row = Row(dataset, rule.label, output, len(scored), {})
            if rule.kind == "clicks":
                row.figures, row.curve = _click_figures([record["clicks"][output] for record in scored])
            elif scored:
                trials = [record["scores"][output][rule.label] for record in scored]
                row.figures = percent_means([_mean(own) for own in trials])
                row.samples = image_samples(
                    {r["file_name"]: [_mean(own)] for r, own in zip(scored, trials, strict=True)}
                )
                if rule.kind == "points":
                    row.curve = {"x": [float(rule.inside + rule.outside)], "y": [row.figures["mIoU"]]}
                if ratios and rule.kind != "points":
                    heights = [np.mean(record["curves"][output][rule.label], axis=0) for record in scored]
                    row.curve = {"x": list(ratios), "y": (100 * np.mean(heights, axis=0)).tolist()}
            row.paper = paper_figures(dataset, architecture, rule.label, output)
            rows.append(row)
    return rows


def percent_means(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric in percent, with an m before its name."""
    return {f"m{name}": 100 * value for name, value in _mean(scores).items()}


def image_samples(scores: Mapping[str, Sequence[dict[str, float]]]) -> dict[str, Samples]:
    """By metric, the sums and counts of the scores of each image's objects, in percent."""
    samples: dict[str, Samples] = {}
    for image, own in scores.items():
        for name in own[0] if own else ():
            samples.setdefault(f"m{name}", {})[image] = (100 * sum(score[name] for score in own), float(len(own)))
    return samples


def _mean(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric."""
    return {name: float(np.mean([score[name] for score in scores])) for name in scores[0]}


def _click_figures(ious: list[list[float]]) -> tuple[dict[str, float], dict[str, list[float]]]:
    """NoC at each target, and how many objects twenty clicks did not bring to 90 or only just did, as RITM counts."""
    if not ious:
        return {}, {}
    figures = {f"NoC@{target:.0%}".rstrip("%"): _mean_clicks(ious, target) for target in TARGETS}
    figures[f">={MOST_CLICKS}@90"] = float(sum(clicks_until(v, TARGETS[-1]) >= MOST_CLICKS for v in ious))
    curve = {"x": list(map(float, range(1, MOST_CLICKS + 1))), "y": (100 * np.mean(ious, axis=0)).tolist()}
    return figures, curve


def _mean_clicks(ious: list[list[float]], target: float) -> float:
    return float(np.mean([clicks_until(values, target) for values in ious]))


def mean_rows(name: str, architecture: str, sets: Sequence[Sequence[Row]]) -> list[Row]:
    """The unweighted means over data sets, row by row; the paper's headline."""
    rows = []
    for group in zip(*sets, strict=True):
        first = group[0]
        figures = {m: float(np.mean([row.figures[m] for row in group])) for m in first.figures}
        paper = paper_figures(name, architecture, first.prompt, first.output)
        rows.append(Row(name, first.prompt, first.output, sum(row.n for row in group), figures, paper))
    return rows


def table_of(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells: each figure with its gain over SAM's row of the same model, and the paper's beside it."""
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.figures))
    several, with_paper = len({row.model for row in rows}) > 1, any(row.paper for row in rows)
    columns = [*(["model"] if several else []), "data set", "n", "prompt", "masks", *metrics]
    columns += ["paper"] if with_paper else []
    cells = []
    for row in rows:
        key = (row.model, row.dataset, row.prompt, "sam")
        base = next((r for r in rows if (r.model, r.dataset, r.prompt, r.output) == key), None)
        line = [*([row.model] if several else []), row.dataset, str(row.n), row.prompt, row.output]
        line += [_cell(row, base, metric) for metric in metrics]
        if with_paper:
            line.append(" / ".join(f"{row.paper[m]:.1f}" for m in metrics if m in row.paper))
        cells.append(line)
    return columns, cells


def _cell(row: Row, base: Row | None, metric: str) -> str:
    value = row.figures.get(metric)
    if value is None or value != value:
        return "-"
    text = f"{value:.1f}"
    if base is None or base is row:
        return text
    return f"{text} ({value - base.figures[metric]:+.1f})"


def json_document(about: Mapping[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """Everything about an evaluation, and its rows with figures that are not rounded; null where there is none."""
    return {"schema": SCHEMA, **about, "rows": [_json_row(row) for row in rows]}


def _json_row(row: Row) -> dict[str, Any]:
    figures = {metric: value if math.isfinite(value) else None for metric, value in row.figures.items()}
    return {
        "model": row.model,
        "dataset": row.dataset,
        "protocol": row.protocol,
        "prompt": row.prompt,
        "mask_output": row.output,
        "n": row.n,
        "figures": figures,
        "paper": row.paper,
        "curve": row.curve,
        "images": {metric: {name: list(own) for name, own in s.items()} for metric, s in row.samples.items()},
    }


def read_json_rows(path: Path) -> list[Row]:
    """The rows of a JSON of an evaluation.

    Raises:
        HqsamError: it is none.
    """
    try:
        document = json.loads(path.read_bytes())
        return [
            Row(
                dataset=row["dataset"],
                prompt=row["prompt"],
                output=row["mask_output"],
                n=row["n"],
                figures={m: math.nan if value is None else float(value) for m, value in row["figures"].items()},
                paper=row["paper"],
                samples={m: {name: tuple(own) for name, own in s.items()} for m, s in row["images"].items()},
                model=row["model"],
                protocol=row["protocol"],
            )
            for row in document["rows"]
        ]
    except OSError as error:
        raise HqsamError(f"cannot be read ({error.strerror})", file=path, remedy="check the path") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        remedy = "give a file of hqsam eval --json of this version"
        raise HqsamError("is no JSON of an evaluation with its images", file=path, remedy=remedy) from None


def per_image_lines(dataset: str, records: Sequence[Record]) -> list[dict[str, Any]]:
    """`dataset`, `image`, `prompt`, `mask_output` and the mean of each metric of every image, or its `error`."""
    lines: list[dict[str, Any]] = []
    for record in records:
        head = {"dataset": dataset, "image": record["file_name"]}
        if record["error"] is not None:
            lines.append({**head, "error": record["error"]})
        elif "results" in record and not any(record["scores"].values()):
            # A detector's boxes have no ground truth of their own; the image is in the average precision alone.
            lines += [{**head, "prompt": "box", "mask_output": output} for output in record["results"]]
        for output, found in record.get("scores", {}).items():
            rules = found.items() if isinstance(found, dict) else [("box", found)]
            lines += [
                {**head, "prompt": label, "mask_output": output, **_mean(trials)} for label, trials in rules if trials
            ]
        for output, ious in record.get("clicks", {}).items():
            lines.append({**head, "prompt": "clicks", "mask_output": output, "IoU": ious[-1]})
        for output, objects in record.get("objects", {}).items():
            lines += [
                {**head, "prompt": f"object {n}", "mask_output": output, **scores} for n, scores in objects.items()
            ]
    return lines


def per_image_csv(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """CSV of `per_image_lines`, a column a metric."""
    fixed = ["model", "dataset", "image", "prompt", "mask_output"]
    metrics = [name for name in dict.fromkeys(name for line in lines for name in line) if name not in (*fixed, "error")]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*fixed, *metrics, "error"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    with atomic_file(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))
