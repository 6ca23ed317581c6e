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
from ..io.file_types import GZIP

Kind = Literal["COCO instances", "COCO results", "NDJSON", "journal"]
# By the JSON path of an object and a key in it.
KINDS: dict[tuple[str, str], Kind] = {
    ("item", "image_id"): "COCO results",
    ("", "file_name"): "NDJSON",
    ("", "images"): "COCO instances",
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
        what = "has an integer of more than 64 bits" if "integer overflow" in reason else "is not JSON"
        raise HqsamError(what, detail=reason, file=file.name, remedy=REMEDY) from None
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
