"""COCO JSON: instances and lists of results, read as prompts and written as results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from .. import __version__
from ..errors import HqsamError
from ..io.atomic import atomic_file
from .prompt_file import FileImage, PromptFile, add_image, integer, key_of, short, some_of
from .run_records import RunRecords


def read_instances(file: PromptFile, document: Any, _listed: PromptFile | None) -> list[Any] | None:
    """Keep the images and categories of COCO instances; returns their annotations, or None of what is none."""
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        return None
    for number, item in enumerate(document["images"], 1):
        where = f"image entry {number}"
        image_id = key_of(item.get("id")) if isinstance(item, dict) else None
        if image_id is None:
            file.problems.append(f"{file.path}: {where} has no id; left out")
        elif image_id in file.images:
            file.problems.append(f"{file.path}: {where} has the id {image_id} of an earlier one; left out")
        else:
            add_image(file, image_id, item, item.get("id"), where)
    renamed = [image.label for image in file.images.values() if image.image_id is None]
    if renamed:
        count, some = len(renamed), some_of(renamed)
        file.problems.append(f"{file.path}: image ids that are no integers, given anew: {count} ({some})")
    categories = document.get("categories")
    known: set[int] = set()
    for item in categories if isinstance(categories, list) else []:
        category_id = integer(item.get("id")) if isinstance(item, dict) else None
        if category_id is None:
            file.problems.append(f"{file.path}: category {short(item)} has no integer id; left out")
        elif category_id not in known:
            known.add(category_id)
            file.categories.append(item | {"id": category_id})
    annotations = document.get("annotations", [])
    if not isinstance(annotations, list):
        raise HqsamError(f"{file.path}: its annotations are no list; give COCO instances JSON")
    return annotations


def read_results(file: PromptFile, document: Any, listed: PromptFile | None) -> list[Any] | None:
    """A COCO results list, with the images that are listed elsewhere, else whatever its ids name; None of what is none.

    A list is one if any entry has an image id, be some of them damaged; an empty list is one too.
    """
    named = isinstance(document, list) and any(isinstance(item, dict) and "image_id" in item for item in document)
    if not named and document != []:
        return None
    if listed is not None:
        file.images, file.refused, file.categories = listed.images, listed.refused, listed.categories
        return document
    file.by_stem = True
    for item in document:
        key = key_of(item.get("image_id")) if isinstance(item, dict) else None
        if key is not None:
            file.images.setdefault(key, FileImage(key, integer(item["image_id"])))
    return document


class CocoWriter:
    """`instances.json` of a run, made of its records when it ends."""

    folder = None

    def __init__(self, output: Path, run: RunRecords) -> None:
        self.path, self.run = output / "instances.json", run

    def write(self, result: object) -> None:
        """Nothing: the record of the image is kept by the run."""

    def remove(self, file_name: str) -> None:
        """Nothing: an image that failed has no annotations in its record."""

    def close(self) -> Path:
        """Write the file."""
        write_coco(self.path, self.run.records, self.run.categories)
        return self.path


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


def _write_items(file: BinaryIO, items: Iterable[Any]) -> None:
    for number, item in enumerate(items):
        file.write((b",\n" if number else b"") + _json(item))
    file.write(b"\n")


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii")
