"""Read result files, COCO or NDJSON, optionally gzipped; streamed, as they may be larger than memory."""

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

ID = int | float | str  # types of ids
Kind = Literal["COCO instances", "COCO results", "NDJSON", "journal"]
# By the JSON path of an object and a key in it.
KINDS: dict[tuple[str, str], Kind] = {
    ("item", "image_id"): "COCO results",
    ("", "file_name"): "NDJSON",
    ("", "images"): "COCO instances",
}
# Lists of a file, by the JSON path of their entries: name in messages, and required keys of each entry.
ENTRIES = {
    "images.item": ("images", ("id", "file_name")),
    "annotations.item": ("annotations", ("image_id",)),
    "categories.item": ("categories", ("id",)),
    "item": ("the list", ("image_id",)),
}
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
PYTHON = ijson.get_backend("python")
REMEDY = "pass COCO instances, a COCO results list, NDJSON, or the output of a run"


@contextmanager
def opened(file: LocalCopy) -> Iterator[IO[bytes]]:
    """Open a file, decompressed and without a byte-order mark.

    Raises:
        HqsamError: the file cannot be read, or reading it in the block fails because it is not JSON.
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
    """Load the JSON document of a file into memory; NaN and infinities are null."""
    with opened(file) as stream:
        return json.load(stream, parse_constant=lambda _: None)


def kind_of(file: LocalCopy) -> Kind:
    """Determine the kind of a file by its first keys; `annotations` is ambiguous, as NDJSON has it too.

    Raises:
        HqsamError: the file cannot be read, or is of an unknown kind.
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
    raise HqsamError("JSON, but not results", file=file.name, remedy=REMEDY)


def entries(file: LocalCopy, prefix: str) -> Iterator[Any]:
    """Yield the entries of a list of a file, see `ENTRIES`.

    Raises:
        HqsamError: the file is not JSON, or an entry is not an object or lacks a key.
    """
    name, needed = ENTRIES[prefix]
    for number, entry in enumerate(parsed(file, "items", prefix), 1):
        if (reason := defect(entry, *needed)) is not None:
            raise HqsamError(f"entry {number} of {name} {reason}", file=file.name, remedy="fix the file")
        yield entry


def defect(entry: Any, *needed: str) -> str | None:
    """Describe what is wrong with an entry, as the end of a sentence; None if it has all required keys."""
    if not isinstance(entry, dict):
        return "is not an object"
    for key in needed:
        if not isinstance(entry.get(key), str if key == "file_name" else ID):
            return f"has no {key}"
    return None if isinstance(entry.get("category_id", 0), ID | None) else "has an invalid category_id"


def parsed(file: LocalCopy, method: str, *arguments: Any, **options: Any) -> Iterator[Any]:
    """Yield the items of an ijson method for a file."""
    with opened(file) as stream:
        start, done = stream.tell(), 0
        try:
            for item in getattr(ijson, method)(stream, *arguments, use_float=True, **options):
                yield item
                done += 1
        except (UnicodeDecodeError, ijson.JSONError) as error:
            stream.seek(start)
            if isinstance(error, UnicodeDecodeError):
                # Names that are not UTF-8 have lone surrogates, which only the pure Python backend can read.
                backend, source = PYTHON, stream
            elif "lexical error" in str(error):
                # NaN and infinities, as written by Python's json module, become null.
                document = json.load(stream, parse_constant=lambda _: None)
                backend, source = ijson, io.BytesIO(json.dumps(document).encode())
            else:
                raise
            yield from islice(getattr(backend, method)(source, *arguments, use_float=True, **options), done, None)
