"""COCO JSON: instances and results lists."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from .. import __version__
from ..configs.formats import MASK_FORMATS
from ..io.atomic import atomic_file
from .annotations import shown_annotation
from .run_records import RunRecords

INSTANCES = MASK_FORMATS["coco"].file  # of a run


def image_name(item: Mapping[str, Any]) -> str | None:
    """The file name of an image entry; LVIS has `coco_url` instead of `file_name`."""
    names = (item.get(key) for key in ("file_name", "coco_url"))
    return next((name for name in names if isinstance(name, str) and name), None)


def write_coco(path: Path, run: RunRecords) -> None:
    """Write COCO instances JSON; failed images are included if their size is known."""
    images = (
        {"id": record.image_id, "file_name": record.file_name, "width": record.size[0], "height": record.size[1]}
        for record in run.records()
        if record.size is not None
    )
    annotations = (shown_annotation(own, run.segmentation) for record in run.records() for own in record.annotations)
    write_document(path, run.info, images, annotations, run.categories)


def write_document(
    path: Path,
    info: Mapping[str, Any],
    images: Iterable[Any],
    annotations: Iterable[Any],
    categories: Sequence[Mapping[str, Any]],
) -> None:
    """Write COCO instances JSON from iterables."""
    info = {"description": f"hqsam {__version__}", "version": __version__, **info}
    with atomic_file(path) as file:
        file.write(b'{"info":' + _json(info) + b',\n"images":[\n')
        _write_items(file, images)
        file.write(b'],\n"annotations":[\n')
        _write_items(file, annotations)
        file.write(b'],\n"categories":' + _json(categories) + b"}\n")


def write_results(path: Path, run: RunRecords) -> None:
    """Write a COCO results list, as loaded by `COCO.loadRes` of `pycocotools`."""
    kept = ("image_id", "category_id", "bbox", "segmentation", "score")
    annotations: Iterator[Mapping[str, Any]] = (own for record in run.records() for own in record.annotations)
    write_list(path, ({key: own[key] for key in kept if key in own} for own in annotations))


def write_list(path: Path, items: Iterable[Any]) -> None:
    """Write a JSON list from an iterable."""
    with atomic_file(path) as file:
        file.write(b"[\n")
        _write_items(file, items)
        file.write(b"]\n")


def _write_items(file: BinaryIO, items: Iterable[Any]) -> None:
    for number, item in enumerate(items):
        file.write((b",\n" if number else b"") + _json(item))
    file.write(b"\n")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
