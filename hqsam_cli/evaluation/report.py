"""From records to rows: what is printed, plotted and written to JSON and CSV."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from ..io.atomic import atomic_file
from .clicks import MOST_CLICKS, TARGETS, clicks_until
from .paper import paper_figures
from .prompts import PromptRule
from .runner import Record


@dataclass(slots=True)
class Row:
    """One line of a table: a data set, a prompt and a mask output.

    Attributes:
        n: images the figures are over.
        figures: by metric; percent, but for clicks.
        paper: what the paper prints for them.
        curve: x and y of a plot: boundary width against mBIoU, or clicks against mIoU.
    """

    dataset: str
    prompt: str
    output: str
    n: int
    figures: dict[str, float]
    paper: dict[str, float] = field(default_factory=dict)
    curve: dict[str, list[float]] = field(default_factory=dict)


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
                if ratios:
                    heights = [np.mean(record["curves"][output][rule.label], axis=0) for record in scored]
                    row.curve = {"x": list(ratios), "y": (100 * np.mean(heights, axis=0)).tolist()}
            row.paper = paper_figures(dataset, architecture, rule.label, output)
            rows.append(row)
    return rows


def percent_means(scores: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of each metric in percent, with an m before its name."""
    return {f"m{name}": 100 * value for name, value in _mean(scores).items()}


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


def results_table(title: str, rows: Sequence[Row]) -> Table:
    """A table of rows: each figure with its gain over SAM's row, and the paper's beside it."""
    metrics = list(dict.fromkeys(metric for row in rows for metric in row.figures))
    table = Table(title=title, title_justify="left")
    for column in ("data set", "n", "prompt", "masks"):
        table.add_column(column, justify="right" if column == "n" else "left")
    for metric in metrics:
        table.add_column(metric, justify="right")
    with_paper = any(row.paper for row in rows)
    if with_paper:
        table.add_column("paper", justify="right")
    for row in rows:
        base = next((r for r in rows if (r.dataset, r.prompt, r.output) == (row.dataset, row.prompt, "sam")), None)
        cells = [row.dataset, str(row.n), row.prompt, row.output]
        cells += [_cell(row, base, metric) for metric in metrics]
        if with_paper:
            cells.append(" / ".join(f"{row.paper[m]:.1f}" for m in metrics if m in row.paper))
        table.add_row(*cells, end_section=row.output == rows[-1].output)
    return table


def _cell(row: Row, base: Row | None, metric: str) -> str:
    value = row.figures.get(metric)
    if value is None or value != value:
        return "–"
    text = f"{value:.1f}"
    if base is None or base is row:
        return text
    return f"{text} ({value - base.figures[metric]:+.1f})"


def write_json(path: Path, about: dict[str, Any], rows: Sequence[Row]) -> None:
    """Everything about an evaluation, and its rows with figures that are not rounded; null where there is none."""
    document = {**about, "rows": [asdict(row) for row in rows]}
    for row in document["rows"]:
        row["figures"] = {metric: value if math.isfinite(value) else None for metric, value in row["figures"].items()}
    with atomic_file(path) as file:
        file.write(json.dumps(document, indent=1, allow_nan=False).encode() + b"\n")


def per_image_lines(dataset: str, records: Sequence[Record]) -> list[dict[str, Any]]:
    """`dataset`, `image`, `prompt`, `masks` and the mean of each metric of every image, or its `error`."""
    lines: list[dict[str, Any]] = []
    for record in records:
        head = {"dataset": dataset, "image": record["file_name"]}
        if record["error"] is not None:
            lines.append({**head, "error": record["error"]})
        elif "results" in record and not any(record["scores"].values()):
            # A detector's boxes have no ground truth of their own; the image is in the average precision alone.
            lines += [{**head, "prompt": "box", "masks": output} for output in record["results"]]
        for output, found in record.get("scores", {}).items():
            rules = found.items() if isinstance(found, dict) else [("box", found)]
            lines += [{**head, "prompt": label, "masks": output, **_mean(trials)} for label, trials in rules if trials]
        for output, ious in record.get("clicks", {}).items():
            lines.append({**head, "prompt": "clicks", "masks": output, "IoU": ious[-1]})
        for output, objects in record.get("objects", {}).items():
            lines += [{**head, "prompt": f"object {n}", "masks": output, **scores} for n, scores in objects.items()]
    return lines


def write_per_image(path: Path, lines: Sequence[dict[str, Any]]) -> None:
    """CSV of `per_image_lines`, a column a metric."""
    fixed = ["dataset", "image", "prompt", "masks"]
    metrics = [name for name in dict.fromkeys(name for line in lines for name in line) if name not in (*fixed, "error")]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*fixed, *metrics, "error"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    with atomic_file(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))
