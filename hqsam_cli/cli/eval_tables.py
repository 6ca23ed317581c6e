"""Output of `hqsam eval`: tables, or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .console import print_json, print_table
from .reporter import ConsoleReporter

if TYPE_CHECKING:
    from ..evaluation.differences import Difference
    from ..evaluation.evaluate import Evaluation
    from ..evaluation.rows import Row


def print_evaluation(result: Evaluation, reporter: ConsoleReporter, *, as_json: bool) -> None:
    """The tables or the JSON on stdout; on stderr which files were written, and how many images have no scores."""
    if as_json:
        print_json(result.to_dict())
    else:
        reporter.say("gains over SAM in brackets")
        _print_tables(result.rows, result.differences, reporter)
    if result.failed:
        reporter.say(f"failed images are not in the scores: {len(result.failed)}", "yellow")
    for path in result.written:
        reporter.say(f"wrote {path}", "green")


def compare_files(files: list[Path], seed: int, reporter: ConsoleReporter) -> None:
    """The rows of several evaluations, and their differences from those of the first, on stdout."""
    from ..evaluation.differences import differences
    from ..evaluation.rows import read_rows

    rows = [replace(row, model=f"{path}: {row.model}") for path in files for row in read_rows(path)]
    _print_tables(rows, differences(rows, seed), reporter)


def _print_tables(rows: Sequence[Row], compared: Sequence[Difference], reporter: ConsoleReporter) -> None:
    from ..evaluation.differences import LEVEL, table_of_differences
    from ..evaluation.rows import table_of

    print_table(*table_of(rows))
    if compared:
        print()
        reporter.say(f"differences with {LEVEL} % confidence intervals, by a paired bootstrap over common images")
        print_table(*table_of_differences(compared))


def print_list(root: Path) -> None:
    """All data sets, and which of them are found."""
    from ..data.sets import DATASETS, dataset_is_found

    rows = []
    for dataset in DATASETS.values():
        found = "yes" if dataset_is_found(dataset, root) else "no"
        archive, places = f"{dataset.archive}, {dataset.size}", f"{dataset.images}, {dataset.gt}"
        rows.append([dataset.key, dataset.title, str(dataset.count or "-"), found, places, archive, dataset.source])
    print_table(("name", "data set", "images", "found", "images and ground truth", "archive", "source"), rows)
    typer.echo(f"data sets under {root}; hq4 is dis, coift, hrsod and thinobject, and their mean", err=True)
