"""Files of results, COCO or NDJSON, gzipped or not, read as streams: they may be larger than the memory."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import IO, Any, Literal

import ijson

from ..errors import HqsamError
from ..io.copies import LocalCopy
from ..io.gzipped import GZIP

ID = int | float | str  # what an id may be
Kind = Literal["COCO instances", "COCO results", "NDJSON", "journal"]
# By a key and the JSON path of the object that has it.
KINDS: dict[tuple[str, str], Kind] = {
    ("item", "image_id"): "COCO results",
    ("", "file_name"): "NDJSON",
    ("", "images"): "COCO instances",
}
# The lists of a file: their names in messages, and the keys that each entry must have, by the JSON path of entries.
ENTRIES = {
    "images.item": ("images", ("id", "file_name")),
    "annotations.item": ("annotations", ("image_id",)),
    "categories.item": ("categories", ("id",)),
    "item": ("the list", ("image_id",)),
}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
PYTHON = ijson.get_backend("python")
REMEDY = "give COCO instances, a COCO results list, NDJSON, or the output of a run"


@contextmanager
def opened(file: LocalCopy) -> Iterator[IO[bytes]]:
    """The bytes of a file, unzipped, without a byte-order mark.

    Raises:
        HqsamError: the file cannot be read, or the block found that it is not JSON.
    """
    try:
        with open(file.path, "rb") as raw:
            stream: Any = gzip.GzipFile(fileobj=raw) if raw.peek(2).startswith(GZIP) else raw
            if stream.peek(3).startswith(BYTE_ORDER_MARK):
                stream.read(3)
            yield stream
    except (ijson.JSONError, UnicodeDecodeError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0].strip()
        raise HqsamError("is not JSON", detail=reason, file=file.name, remedy=REMEDY) from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise HqsamError("cannot be read", detail=reason, file=file.name, remedy="check the path") from None


def read_whole(file: LocalCopy) -> Any:
    """The JSON document of a file, in memory; NaN and infinities are null."""
    with opened(file) as stream:
        return json.load(stream, parse_constant=lambda _: None)


def kind_of(file: LocalCopy) -> Kind:
    """The kind of a file, by its first keys; `annotations` alone, which NDJSON has too, do not tell.

    Raises:
        HqsamError: it cannot be read, or is of none of these kinds.
    """
    before, has_annotations = None, False
    for prefix, event, value in parsed(file, "parse", multiple_values=True):
        if event == "map_key" and (prefix, value) in KINDS:
            return KINDS[prefix, value]
        if (prefix, before, event) == ("", "start_array", "end_array"):
            return "COCO results"  # an empty one
        if event == "end_map" and prefix in ("", "item"):
            break
        has_annotations |= (prefix, event, value) == ("", "map_key", "annotations")
        before = event
    if has_annotations:
        return "COCO instances"
    raise HqsamError("JSON, but no results", file=file.name, remedy=REMEDY)


def entries(file: LocalCopy, prefix: str) -> Iterator[Any]:
    """The entries of a list of a file, see `ENTRIES`, in its order.

    Raises:
        HqsamError: the file is not JSON; an entry is no object, or lacks a key.
    """
    name, needed = ENTRIES[prefix]
    for number, entry in enumerate(parsed(file, "items", prefix), 1):
        if (reason := defect(entry, *needed)) is not None:
            raise HqsamError(f"entry {number} of {name} {reason}", file=file.name, remedy="fix the file")
        yield entry


def defect(entry: Any, *needed: str) -> str | None:
    """What is wrong with an entry, as the end of a sentence; None where it has the keys that it needs."""
    if not isinstance(entry, dict):
        return "is no object"
    for key in needed:
        if not isinstance(entry.get(key), str if key == "file_name" else ID):
            return f"has no {key}"
    return None if isinstance(entry.get("category_id", 0), ID | None) else "has an invalid category_id"


def parsed(file: LocalCopy, method: str, *arguments: Any, **options: Any) -> Iterator[Any]:
    """What a method of ijson yields for a file."""
    with opened(file) as stream:
        start, done = stream.tell(), 0
        try:
            for item in getattr(ijson, method)(stream, *arguments, use_float=True, **options):
                yield item
                done += 1
        except (UnicodeDecodeError, ijson.JSONError) as error:
            stream.seek(start)
            if isinstance(error, UnicodeDecodeError):
                # A name that is not UTF-8 has lone surrogates, which only the slow backend can read.
                backend, source = PYTHON, stream
            elif "lexical error" in str(error):
                # NaN and infinities, which Python's writers put into JSON, are null.
                document = json.load(stream, parse_constant=lambda _: None)
                backend, source = ijson, io.BytesIO(json.dumps(document).encode())
            else:
                raise
            yield from islice(getattr(backend, method)(source, *arguments, use_float=True, **options), done, None)
