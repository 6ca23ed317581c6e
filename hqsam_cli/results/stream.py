"""A file of results as streams of its images and annotations, so that it may be larger than the memory."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal

import ijson

from ..errors import HqsamError
from ..formats.coco import INSTANCES
from ..formats.ndjson import INSTANCES as LINES
from ..io.gzipped import GZIP

Item = dict[str, Any]
ID = int | float | str  # what an id may be
Kind = Literal["COCO instances", "COCO results", "NDJSON"]
# What the entries of a file are called in messages, and what each has to have, by where they stand.
ENTRIES = {
    "images.item": ("images", ("id", "file_name")),
    "annotations.item": ("annotations", ("image_id",)),
    "categories.item": ("categories", ("id",)),
    "item": ("the list", ("image_id",)),
}
PYTHON = ijson.get_backend("python")
REMEDY = "give COCO instances, a COCO results list, NDJSON, or the output of a run"


@dataclass(frozen=True, slots=True)
class Results:
    """Images, annotations and categories, as COCO has them. What is called is called as often as need be.

    Attributes:
        path: of the file; of several, of the first.
        kind: of the file; a COCO results list has no images and no categories.
        info: what made them.
        categories: by the order of the file.
        images: with `id`, `file_name`, and maybe `width`, `height` and `error`.
        annotations: with `image_id`, in the order of the file.
    """

    path: Path
    kind: Kind
    info: Mapping[str, Any]
    categories: list[Item]
    images: Callable[[], Iterator[Item]]
    annotations: Callable[[], Iterator[Item]]


def open_results(path: Path) -> Results:
    """The results of a file, or of the output folder of a run.

    Raises:
        HqsamError: it cannot be read, or is of no kind that is known. What is wrong further down in it is raised when
            it is read.
    """
    if path.is_dir():
        found = next((path / name for name in (INSTANCES, LINES) if (path / name).is_file()), None)
        if found is None:
            raise HqsamError(f"has neither {INSTANCES} nor {LINES}", file=path, remedy=REMEDY)
        path = found
    kind = _kind(path)
    if kind == "NDJSON":
        categories = _categories_of_lines(path)
        return Results(path, kind, {}, categories, partial(_images_of_lines, path), partial(_of_lines, path))
    if kind == "COCO results":
        return Results(path, kind, {}, [], lambda: iter(()), partial(_entries, path, "item"))
    info: Any = next(_parsed(path, "items", "info"), {})
    return Results(
        path,
        kind,
        info if isinstance(info, dict) else {},
        [own if own.get("name") else {**own, "name": _named(own["id"])} for own in _entries(path, "categories.item")],
        partial(_entries, path, "images.item"),
        partial(_entries, path, "annotations.item"),
    )


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """The bytes of a file, unzipped; what goes wrong with them names it."""
    try:
        with open(path, "rb") as raw:
            is_zipped = raw.peek(2).startswith(GZIP)
            yield gzip.GzipFile(fileobj=raw) if is_zipped else raw
    except (ijson.JSONError, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0].strip()
        raise HqsamError(f"not JSON ({reason})", file=path, remedy=REMEDY) from None
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HqsamError(f"cannot be read ({reason})", file=path, remedy="check the path") from None


def _kind(path: Path) -> Kind:
    """What a file is, by how it begins; annotations alone, which NDJSON has too, do not say it."""
    before: str | None = None
    has_annotations = False
    for prefix, event, value in _parsed(path, "parse", multiple_values=True):
        if (prefix, event) == ("item", "map_key") and value == "image_id":
            return "COCO results"
        if (prefix, event) == ("", "map_key") and value == "file_name":
            return "NDJSON"
        if (prefix, event) == ("", "map_key") and value == "images":
            return "COCO instances"
        has_annotations = has_annotations or (prefix, event, value) == ("", "map_key", "annotations")
        if event == "end_map" and prefix in ("", "item"):
            break
        if prefix == "" and (before, event) == ("start_array", "end_array"):
            return "COCO results"  # an empty one
        before = event
    if has_annotations:
        return "COCO instances"
    raise HqsamError("JSON, but no results", file=path, remedy=REMEDY)


def _entries(path: Path, prefix: str) -> Iterator[Item]:
    """The entries of a list, each with what it has to have."""
    called, needed = ENTRIES[prefix]
    for number, entry in enumerate(_parsed(path, "items", prefix), 1):
        reason = _lack(entry, needed)
        if reason is not None:
            raise HqsamError(f"entry {number} of {called} {reason}", file=path, remedy="mend the file")
        yield entry


def _lack(entry: Any, needed: Sequence[str]) -> str | None:
    """What is wrong with an entry, as the end of a sentence; None where it has all that is needed."""
    if not isinstance(entry, dict):
        return "is no object"
    for key in needed:
        if not isinstance(entry.get(key), str if key == "file_name" else ID):
            return f"has no {key}"
    return None if isinstance(entry.get("category_id", 0), ID | None) else "has a category_id that is none"


def _named(number: int | float | str) -> str:
    """What a category without a name is called."""
    return f"category {number}"


def _parsed(path: Path, method: str, *arguments: Any, **options: Any) -> Iterator[Any]:
    """What a method of ijson yields of a file."""
    with _opened(path) as file:
        done = 0
        try:
            for item in getattr(ijson, method)(file, *arguments, use_float=True, **options):
                yield item
                done += 1
        except UnicodeDecodeError:
            # A name that is not UTF-8 has lone surrogates, which the fast backend does not know: on with the slow one.
            file.seek(0)
            yield from islice(getattr(PYTHON, method)(file, *arguments, use_float=True, **options), done, None)


def _lines(path: Path) -> Iterator[Item]:
    """The lines of NDJSON, each with annotations and the id of its image.

    That is its own, else the number of its line; another one where an image of another name has it, as in lines of
    several files. Several lines of one name are of one image.
    """
    ids: dict[str, ID] = {}
    taken: set[ID] = set()
    free = 1
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                record = json.loads(line)
                if not isinstance(record, dict) or not isinstance(record.get("file_name"), str):
                    raise HqsamError(f"line {number} is no image", file=path, remedy=REMEDY)
                annotations = record.get("annotations") or []
                if not isinstance(annotations, list) or any(_lack(own, ()) is not None for own in annotations):
                    raise HqsamError(f"line {number} has annotations that are none", file=path, remedy="mend the file")
                name, own = record["file_name"], record.get("image_id")
                if name not in ids:
                    image_id = own if isinstance(own, ID) else number
                    while image_id in taken:
                        image_id, free = free, free + 1
                    ids[name] = image_id
                    taken.add(image_id)
                yield {**record, "annotations": annotations, "image_id": ids[name]}


def _images_of_lines(path: Path) -> Iterator[Item]:
    """The images of NDJSON, each once, as its first line has it."""
    seen = set()
    for line in _lines(path):
        if line["image_id"] not in seen:
            seen.add(line["image_id"])
            size = {key: line[key] for key in ("width", "height", "error") if line.get(key) is not None}
            yield {"id": line["image_id"], "file_name": line["file_name"], **size}


def _of_lines(path: Path) -> Iterator[Item]:
    for line in _lines(path):
        for annotation in line["annotations"]:
            yield {**annotation, "image_id": line["image_id"]}


def _categories_of_lines(path: Path) -> list[Item]:
    """Categories as the annotations name them; a number where they do not."""
    names: dict[Any, str] = {}
    for annotation in _of_lines(path):
        number = annotation.get("category_id")
        if number is not None and number not in names:
            names[number] = str(annotation.get("category") or annotation.get("category_name") or _named(number))
    listed = sorted(names.items(), key=lambda item: (isinstance(item[0], str), item[0]))
    return [{"id": number, "name": name} for number, name in listed]
