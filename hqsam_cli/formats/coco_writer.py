"""All records of a run as one COCO instances file, without holding them in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from .. import __version__
from ..io.atomic import atomic_file
from .annotations import json_line


def write_coco(path: Path, records: Callable[[], Iterable[dict[str, Any]]], categories: list[dict[str, Any]]) -> None:
    """COCO instances JSON; images that failed are in it when their size is known.

    Args:
        records: called twice, for the images and for the annotations; each time all records in order.
    """
    with atomic_file(path) as file:
        file.write(b'{"info":' + _json({"description": f"hqsam {__version__}"}) + b',\n"images":[\n')
        images = (
            {"id": r["image_id"], "file_name": r["file_name"], "width": r["width"], "height": r["height"]}
            for r in records()
            if r["width"] is not None
        )
        _write_items(file, images)
        file.write(b'],\n"annotations":[\n')
        _write_items(file, (annotation for record in records() for annotation in record["annotations"]))
        file.write(b'],\n"categories":' + _json(categories) + b"}\n")


def write_results(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """A COCO results list, as `pycocotools` and its kin read it beside the ground truth."""
    kept = ("image_id", "category_id", "bbox", "score")
    with atomic_file(path) as file:
        file.write(b"[\n")
        _write_items(file, ({key: a[key] for key in kept} for record in records for a in record["annotations"]))
        file.write(b"]\n")


def write_ndjson(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """A line an image."""
    with atomic_file(path) as file:
        for record in records:
            file.write(json_line(record))


def _write_items(file: BinaryIO, items: Iterable[Any]) -> None:
    for number, item in enumerate(items):
        file.write((b",\n" if number else b"") + _json(item))
    file.write(b"\n")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
