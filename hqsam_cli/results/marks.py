"""Annotation ids from a report: masks that somebody marked, and suspicious ones."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ..errors import UsageError
from ..formats.values import identifier, integer, number_or_none
from .stream import RESULTS_SUFFIXES, Results, open_results

REPORT, TABLE = "report", "instances.csv"  # in the output folder of a run, and in the report
COLUMN = "annotation_id"


def marked_ids(path: Path) -> frozenset[int]:
    """Annotation ids in an export of the report, COCO or CSV, or in a text file with one id per line.

    Raises:
        UsageError: the file cannot be read, or has no ids.
        HqsamError: the JSON is no results file.
    """
    if path.name.lower().endswith(RESULTS_SUFFIXES):
        ids: list[object] = [own["id"] for own in open_results(path).annotations() if "id" in own]
    else:
        text = _text(path, "pass the CSV or COCO export of a report, or a text file with an annotation id per line")
        rows = csv.DictReader(io.StringIO(text, newline=""))
        if COLUMN in (rows.fieldnames or ()):
            ids = [row[COLUMN] for row in rows if row[COLUMN]]
        else:
            ids = [line.strip() for line in text.split("\n") if line.strip()]
    numbers = {own: integer(identifier(own)) for own in ids}
    unknown = next((own for own, number in numbers.items() if number is None), None)
    if unknown is not None or not ids:
        reason = "has no annotation ids" if unknown is None else f"not an annotation id: {unknown}"
        raise UsageError(reason, file=path, remedy="pass marks as CSV or COCO; --files takes names of images")
    return frozenset(number for number in numbers.values() if number is not None)


def suspicious_ids(results: Results, given: Path | str, most: float) -> frozenset[int]:
    """Annotation ids whose suspicion in the report of a run exceeds a value.

    Args:
        given: the output folder of the run, or a results file in it.

    Raises:
        UsageError: there is no report, or it lacks masks of the results.
    """
    if isinstance(given, str):
        raise UsageError("reports are local", option="max_suspicion", remedy="pass a local copy of the run")
    run = given if given.is_dir() else given.parent
    path = run / REPORT / TABLE
    rows = csv.DictReader(io.StringIO(_text(path, f"run hqsam report {run} first")))
    suspicion = {integer(row[COLUMN]): number_or_none(row["suspicion"]) or 0.0 for row in rows}
    lacking = sum(annotation.get("id") not in suspicion for annotation in results.annotations())
    if lacking:
        raise UsageError(f"lacks {lacking} masks of the results", file=path, remedy=f"run hqsam report {run} again")
    return frozenset(own for own, value in suspicion.items() if own is not None and value > most)


def _text(path: Path, remedy: str) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig", "surrogateescape")
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", file=path, remedy=remedy) from None
