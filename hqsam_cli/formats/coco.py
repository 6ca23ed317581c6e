"""COCO JSON: instances and lists of results, read as prompts and written as results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from .. import __version__
from ..io.atomic import atomic_file
from .annotations import shown
from .prompt_file import Contents, FileImage, NameKind, Notes, PromptFile, note, read_images
from .run_records import RunRecords
from .values import Identifier, identifier, integer, short

INSTANCES = "instances.json"  # of a run


def read_instances(document: Any, _listed: PromptFile | None, notes: Notes) -> Contents | None:
    """Images, annotations and categories of COCO instances; None of what is none."""
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        return None
    entries = enumerate(document["images"], 1)
    items = [(item.get("id") if isinstance(item, dict) else None, item, f"image entry {n}") for n, item in entries]
    annotations = document.get("annotations", [])
    if not isinstance(annotations, list):
        raise ValueError("its annotations are no list; give COCO instances JSON")
    images = read_images(items, notes)
    silent = () if "annotations" in document else images.keys()
    return Contents(images, annotations, _categories(document.get("categories"), notes), silent=silent)


def _categories(listed: Any, notes: Notes) -> list[dict[str, Any]]:
    """Categories with what they are called as `id`, each once."""
    categories: dict[Identifier, dict[str, Any]] = {}
    odd = []
    for item in listed if isinstance(listed, list) else []:
        key = identifier(item.get("id")) if isinstance(item, dict) else None
        if key is None:
            odd.append(short(item))
        elif key not in categories:
            categories[key] = {**item, "id": key, "name": str(item.get("name") or f"category {key}")}
        elif item.get("name") not in (None, categories[key]["name"]):
            odd.append(f"{short(item)} has the id of {categories[key]['name']}")
    note(notes.remarks, "categories without an id of their own, left out", odd)
    return list(categories.values())


def read_results(document: Any, listed: PromptFile | None, _notes: Notes) -> Contents | None:
    """A COCO results list, with the images that are listed elsewhere, else whatever its ids name; None of what is none.

    A list is one if any entry has an image id, be some of them damaged; an empty list is one too.
    """
    named = isinstance(document, list) and any(isinstance(item, dict) and "image_id" in item for item in document)
    if not named and document != []:
        return None
    if listed is not None:
        return Contents(listed.images, document, listed.categories, silent=listed.images.keys())
    keys = dict.fromkeys(identifier(item.get("image_id")) for item in document if isinstance(item, dict))
    # A number is the stem of a name, a text the name itself, with its suffix or without.
    kinds: tuple[NameKind, NameKind] = ("stem", "path_stem")
    images = {k: FileImage(k, str(k), kinds[isinstance(k, str)], integer(k)) for k in keys if k is not None}
    return Contents(images, document, unlisted=True, silent=images.keys())


def write_coco(path: Path, run: RunRecords) -> None:
    """COCO instances JSON; images that failed are in it when their size is known."""
    images = (
        {"id": r["image_id"], "file_name": r["file_name"], "width": r["width"], "height": r["height"]}
        for r in run.records()
        if r["width"] is not None
    )
    records = (shown(record, run.segmentation) for record in run.records())
    annotations = (annotation for record in records for annotation in record["annotations"])
    write_document(path, run.info, images, annotations, run.categories)


def write_document(
    path: Path,
    info: Mapping[str, Any],
    images: Iterable[Any],
    annotations: Iterable[Any],
    categories: Sequence[Mapping[str, Any]],
) -> None:
    """COCO instances JSON of streams."""
    info = {"description": f"hqsam {__version__}", "version": __version__, **info}
    with atomic_file(path) as file:
        file.write(b'{"info":' + _json(info) + b',\n"images":[\n')
        _write_items(file, images)
        file.write(b'],\n"annotations":[\n')
        _write_items(file, annotations)
        file.write(b'],\n"categories":' + _json(categories) + b"}\n")


def write_results(path: Path, run: RunRecords) -> None:
    """A COCO results list, as `pycocotools` and its kin read it beside the ground truth."""
    kept = ("image_id", "category_id", "bbox", "segmentation", "score")
    annotations = (a for record in run.records() for a in record["annotations"])
    write_list(path, ({key: a[key] for key in kept if key in a} for a in annotations))


def write_list(path: Path, items: Iterable[Any]) -> None:
    """A JSON list of a stream."""
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
