"""What an evaluation says on stdout: tables for people, JSON for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from .console import Cell, ConsoleReporter, print_json, print_table
from .options import STDIN

if TYPE_CHECKING:
    from ..evaluation.evaluate import Results


def publish(
    results: Results, document: dict[str, Any], json_file: str | None, seed: int, reporter: ConsoleReporter
) -> None:
    """The table and the differences on stdout, or the JSON."""
    from ..evaluation.differences import LEVEL, differences, table_of_differences
    from ..evaluation.report import json_document, table_of
    from ..io.atomic import atomic_file

    compared = differences(results.rows, seed)
    whole = json_document(document, results.rows)
    whole["differences"] = [difference.as_json() for difference in compared]
    if json_file == STDIN:
        print_json(whole)
        return
    reporter.say("gains over SAM in brackets")
    print_table(*table_of(results.rows))
    if compared:
        print()
        reporter.say(f"differences with their {LEVEL} % intervals, by a paired bootstrap over images")
        print_table(*table_of_differences(compared))
    if json_file is not None:
        with atomic_file(Path(json_file)) as file:
            file.write(json.dumps(whole, indent=1, allow_nan=False).encode() + b"\n")
        reporter.say(f"wrote {json_file}", "green")


def compare_files(files: list[Path], seed: int, reporter: ConsoleReporter) -> None:
    """Tables of the rows of several evaluations, and of their differences from those of the first, on stdout."""
    from ..evaluation.differences import LEVEL, differences, table_of_differences
    from ..evaluation.report import read_json_rows, table_of

    rows = []
    for path in files:
        for row in read_json_rows(path):
            row.model = f"{path}: {row.model}"
            rows.append(row)
    print_table(*table_of(rows))
    print()
    reporter.say(f"differences with their {LEVEL} % intervals, by a paired bootstrap over the images of both")
    print_table(*table_of_differences(differences(rows, seed)))


def print_list(root: Path) -> None:
    """The data sets there are, and which of them are found."""
    from ..data.sets import DATASETS, dataset_is_found

    rows: list[list[Cell]] = []
    for dataset in DATASETS.values():
        found = "yes" if dataset_is_found(dataset, root) else "no"
        archive, places = f"{dataset.archive}, {dataset.size}", f"{dataset.images}, {dataset.gt}"
        rows.append([dataset.key, dataset.title, str(dataset.count or "-"), found, places, archive, dataset.source])
    print_table(("name", "data set", "images", "found", "photos and gt", "archive", "from"), rows)
    typer.echo(f"data sets under {root}; hq4 is dis, coift, hrsod and thinobject, and their mean", err=True)
