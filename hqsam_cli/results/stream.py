"""A file of results as streams of its images and annotations, so that it may be larger than the memory."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

import ijson

from ..errors import HqsamError
from ..formats.coco import INSTANCES
from ..formats.ndjson import INSTANCES as LINES
from ..io.copies import LocalCopy, below
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
        path: of the file, or its address; of several, of the first.
        kind: of the file; a COCO results list has no images and no categories.
        info: what made them.
        categories: by the order of the file.
        images: with `id`, `file_name`, and maybe `width`, `height` and `error`.
        annotations: with `image_id`, in the order of the file.
    """

    path: Path | str
    kind: Kind
    info: Mapping[str, Any]
    categories: list[Item]
    images: Callable[[], Iterator[Item]]
    annotations: Callable[[], Iterator[Item]]


def open_results(path: Path | str) -> Results:
    """The results of a file, or of the output folder of a run; or of the address of either, as a text.

    Raises:
        HqsamError: it cannot be read, or is of no kind that is known. What is wrong further down in it is raised when
            it is read.
    """
    file = _file(path)
    kind = _kind(file)
    if kind == "NDJSON":
        categories = _categories_of_lines(file)
        return Results(file.name, kind, {}, categories, partial(_images_of_lines, file), partial(_of_lines, file))
    if kind == "COCO results":
        return Results(file.name, kind, {}, [], lambda: iter(()), partial(_entries, file, "item"))
    info: Any = next(_parsed(file, "items", "info"), {})
    return Results(
        file.name,
        kind,
        info if isinstance(info, dict) else {},
        [own if own.get("name") else {**own, "name": _named(own["id"])} for own in _entries(file, "categories.item")],
        partial(_entries, file, "images.item"),
        partial(_entries, file, "annotations.item"),
    )


def _file(path: Path | str) -> LocalCopy:
    """The file of results that a path or an address is of."""
    if isinstance(path, Path) and not path.is_dir():
        return LocalCopy(path)
    names = [below(path, INSTANCES), below(path, LINES)]
    if isinstance(path, str):  # of a file, likely, if its name has a suffix
        names.insert(0 if PurePosixPath(path).suffix else 2, path)
    found = next((file for file in map(LocalCopy, names) if file.is_there), None)
    if found is None:
        raise HqsamError(f"has neither {INSTANCES} nor {LINES}", file=path, remedy=REMEDY)
    return found


@contextmanager
def _opened(file: LocalCopy) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """The bytes of a file, unzipped; what goes wrong with them names it."""
    try:
        with open(file.path, "rb") as raw:
            is_zipped = raw.peek(2).startswith(GZIP)
            yield gzip.GzipFile(fileobj=raw) if is_zipped else raw
    except (ijson.JSONError, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0].strip()
        raise HqsamError(f"not JSON ({reason})", file=file.name, remedy=REMEDY) from None
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HqsamError(f"cannot be read ({reason})", file=file.name, remedy="check the path") from None


def _kind(file: LocalCopy) -> Kind:
    """What a file is, by how it begins; annotations alone, which NDJSON has too, do not say it."""
    before: str | None = None
    has_annotations = False
    for prefix, event, value in _parsed(file, "parse", multiple_values=True):
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
    raise HqsamError("JSON, but no results", file=file.name, remedy=REMEDY)


def _entries(file: LocalCopy, prefix: str) -> Iterator[Item]:
    """The entries of a list, each with what it has to have."""
    called, needed = ENTRIES[prefix]
    for number, entry in enumerate(_parsed(file, "items", prefix), 1):
        reason = _lack(entry, needed)
        if reason is not None:
            raise HqsamError(f"entry {number} of {called} {reason}", file=file.name, remedy="mend the file")
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


def _parsed(source: LocalCopy, method: str, *arguments: Any, **options: Any) -> Iterator[Any]:
    """What a method of ijson yields of a file."""
    with _opened(source) as file:
        done = 0
        try:
            for item in getattr(ijson, method)(file, *arguments, use_float=True, **options):
                yield item
                done += 1
        except UnicodeDecodeError:
            # A name that is not UTF-8 has lone surrogates, which the fast backend does not know: on with the slow one.
            file.seek(0)
            yield from islice(getattr(PYTHON, method)(file, *arguments, use_float=True, **options), done, None)


def _lines(source: LocalCopy) -> Iterator[Item]:
    """The lines of NDJSON, each with annotations and the id of its image.

    That is its own, else the number of its line; another one where an image of another name has it, as in lines of
    several files. Several lines of one name are of one image.
    """
    ids: dict[str, ID] = {}
    taken: set[ID] = set()
    free = 1
    with _opened(source) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                record = json.loads(line)
                if not isinstance(record, dict) or not isinstance(record.get("file_name"), str):
                    raise HqsamError(f"line {number} is no image", file=source.name, remedy=REMEDY)
                annotations = record.get("annotations") or []
                if not isinstance(annotations, list) or any(_lack(own, ()) is not None for own in annotations):
                    raise HqsamError(
                        f"line {number} has annotations that are none", file=source.name, remedy="mend the file"
                    )
                name, own = record["file_name"], record.get("image_id")
                if name not in ids:
                    image_id = own if isinstance(own, ID) else number
                    while image_id in taken:
                        image_id, free = free, free + 1
                    ids[name] = image_id
                    taken.add(image_id)
                yield {**record, "annotations": annotations, "image_id": ids[name]}


def _images_of_lines(file: LocalCopy) -> Iterator[Item]:
    """The images of NDJSON, each once, as its first line has it."""
    seen = set()
    for line in _lines(file):
        if line["image_id"] not in seen:
            seen.add(line["image_id"])
            size = {key: line[key] for key in ("width", "height", "error") if line.get(key) is not None}
            yield {"id": line["image_id"], "file_name": line["file_name"], **size}


def _of_lines(file: LocalCopy) -> Iterator[Item]:
    for line in _lines(file):
        for annotation in line["annotations"]:
            yield {**annotation, "image_id": line["image_id"]}


def _categories_of_lines(file: LocalCopy) -> list[Item]:
    """Categories as the annotations name them; a number where they do not."""
    names: dict[Any, str] = {}
    for annotation in _of_lines(file):
        number = annotation.get("category_id")
        if number is not None and number not in names:
            names[number] = str(annotation.get("category") or annotation.get("category_name") or _named(number))
    listed = sorted(names.items(), key=lambda item: (isinstance(item[0], str), item[0]))
    return [{"id": number, "name": name} for number, name in listed]
