"""Parse values in files of other programs, None if invalid, and format values for messages."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias, TypedDict

EXAMPLES = 3  # shown of a longer list
UNNAMED = "object"  # the category of objects without one
LARGEST_NUMBER = 1e9  # larger coordinates are invalid
LARGEST_ID = 2**53  # represented exactly by every JSON reader
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
INTEGER = re.compile(r"(0|-?[1-9]\d{0,30})(\.0+)?")

# An opaque identifier of an image, an annotation or a category in a file.
Identifier: TypeAlias = int | str
JsonObject: TypeAlias = dict[str, Any]


class FileCategory(TypedDict):
    """A category of a file; may have more keys, as `Category`."""

    id: Identifier
    name: str


def number_or_none(value: Any) -> float | None:
    """A finite float of limited magnitude, or None; some programs write 1.5 as "1.5"."""
    if isinstance(value, str):
        value = float(value) if NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < LARGEST_NUMBER and math.isfinite(value) else None


def read_numbers(value: Any, count: int) -> list[float] | None:
    """A list of `count` finite numbers, or None."""
    numbers = [number_or_none(n) for n in value] if isinstance(value, list | tuple) else []
    known = [n for n in numbers if n is not None]
    return known if len(numbers) == len(known) == count else None


def numbers_of(values: Any, names: Iterable[str]) -> list[float] | None:
    """The finite numbers in a dict by these names, or None."""
    listed = [dict_or_empty(values).get(name) for name in names]
    return read_numbers(listed, len(listed))


def integer(value: Any, largest: int = LARGEST_ID) -> int | None:
    """An integer below `largest` in magnitude, or None; some programs write 3 as 3.0 or "3"."""
    value = identifier(value)
    return value if isinstance(value, int) and abs(value) < largest else None


def identifier(value: Any) -> Identifier | None:
    """A normalized identifier, or None if it is empty or invalid; 3, 3.0 and "3" are the same."""
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) and value.is_integer() else repr(value)
    if isinstance(value, str):
        text = value.strip()
        return int(text.partition(".")[0]) if INTEGER.fullmatch(text) else text or None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def dict_or_empty(value: Any) -> JsonObject:
    """A dict; empty if the value is something else."""
    return value if isinstance(value, dict) else {}


def dicts_of(value: Any) -> list[JsonObject]:
    """The objects in a list; empty if it is none."""
    return [item for item in list_or_empty(value) if isinstance(item, dict)]


def list_or_empty(value: Any) -> list[Any]:
    """A list; empty if the value is something else."""
    return value if isinstance(value, list) else []


def first_of(item: Any, names: Iterable[str]) -> Any:
    """The value of the first of the keys that an object has; None if it has none, or is no object."""
    return next((item[name] for name in names if item.get(name) is not None), None) if isinstance(item, dict) else None


def is_set(value: Any) -> bool:
    """Whether a flag such as `iscrowd` is set: 1, 1.0, "1" or true."""
    return (value.strip() if isinstance(value, str) else value) in (1, "1", "1.0")


def some_of(names: Iterable[str]) -> str:
    """The first few distinct names, comma-separated."""
    different = list(dict.fromkeys(names))
    return ", ".join(different[:EXAMPLES]) + (", …" if len(different) > EXAMPLES else "")


def note(sentences: list[str], what: str, where: Sequence[str]) -> None:
    """Append a message with the count and examples of `where`, if it is not empty."""
    if where:
        sentences.append(f"{what}: {len(where)} ({some_of(where)})")


def short(value: Any) -> str:
    """A value as JSON, truncated if long."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"


def text_of(content: bytes) -> str:
    """Decode text by its byte-order mark, as UTF-8, or else as Windows-1252."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
