"""A file of results as streams of its images and annotations, so that it may be larger than the memory."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Mapping
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
Kind = Literal["COCO instances", "COCO results", "NDJSON"]
PYTHON = ijson.get_backend("python")
REMEDY = "give COCO instances, a COCO results list, NDJSON, or the output of a run"


@dataclass(frozen=True, slots=True)
class Results:
    """Images, annotations and categories, as COCO has them. What is called is called as often as need be.

    Attributes:
        kind: of the file; a COCO results list has no images and no categories.
        info: what made them.
        categories: by the order of the file.
        images: with `id`, `file_name`, and maybe `width`, `height` and `error`.
        annotations: with `image_id`, in the order of the file.
    """

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
        return Results(kind, {}, _categories_of_lines(path), partial(_images_of_lines, path), partial(_of_lines, path))
    if kind == "COCO results":
        return Results(kind, {}, [], lambda: iter(()), partial(_items, path, "item"))
    info: Any = next(_items(path, "info"), {})
    return Results(
        kind,
        info if isinstance(info, dict) else {},
        list(_items(path, "categories.item")),
        partial(_items, path, "images.item"),
        partial(_items, path, "annotations.item"),
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
    """What a file is, by how it begins."""
    before = None
    for prefix, event, value in _parsed(path, "parse", multiple_values=True):
        if (prefix, event) == ("item", "map_key") and value == "image_id":
            return "COCO results"
        if (prefix, event) == ("", "map_key") and value == "file_name":
            return "NDJSON"
        if (prefix, event) == ("", "map_key") and value in ("images", "annotations"):
            return "COCO instances"
        if event == "end_map" and prefix in ("", "item"):
            break
        if prefix == "" and (before, event) == ("start_array", "end_array"):
            return "COCO results"  # an empty one
        before = event
    raise HqsamError("JSON, but no results", file=path, remedy=REMEDY)


def _items(path: Path, prefix: str) -> Iterator[Item]:
    return _parsed(path, "items", prefix)


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
    """The images of NDJSON, each with its annotations, and with an id: its own, else the number of its line."""
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                record = json.loads(line)
                if not isinstance(record, dict) or not isinstance(record.get("file_name"), str):
                    raise HqsamError(f"line {number} is no image", file=path, remedy=REMEDY)
                own = record.get("image_id")
                yield {**record, "image_id": number if own is None else own}


def _images_of_lines(path: Path) -> Iterator[Item]:
    for line in _lines(path):
        size = {key: line[key] for key in ("width", "height", "error") if line.get(key) is not None}
        yield {"id": line["image_id"], "file_name": line["file_name"], **size}


def _of_lines(path: Path) -> Iterator[Item]:
    for line in _lines(path):
        for annotation in line.get("annotations") or ():
            yield {**annotation, "image_id": line["image_id"]}


def _categories_of_lines(path: Path) -> list[Item]:
    """Categories as the annotations name them; a number where they do not."""
    names: dict[Any, str] = {}
    for annotation in _of_lines(path):
        number = annotation.get("category_id")
        if number is not None and number not in names:
            names[number] = str(annotation.get("category") or annotation.get("category_name") or f"category {number}")
    return [{"id": number, "name": name} for number, name in sorted(names.items())]
