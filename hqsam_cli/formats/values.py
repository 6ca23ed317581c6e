"""Parse values in files of other programs, None if invalid; and format values for messages."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any, TypeAlias

EXAMPLES = 3  # named of many alike
LARGEST_NUMBER = 1e9  # a coordinate beyond is no pixel
LARGEST_ID = 2**53  # what every reader of JSON holds exactly
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
INTEGER = re.compile(r"(0|-?[1-9]\d{0,30})(\.0+)?")

# What an image, an annotation or a category is called in a file. It means nothing but itself.
Identifier: TypeAlias = int | str


def number_or_none(value: Any) -> float | None:
    """A finite float within reason, or None; some programs write 1.5 as "1.5"."""
    if isinstance(value, str):
        value = float(value) if NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < LARGEST_NUMBER and math.isfinite(value) else None


def read_numbers(value: Any, count: int) -> list[float] | None:
    """A list of so many finite numbers, or None."""
    numbers = [number_or_none(n) for n in value] if isinstance(value, list | tuple) else []
    known = [n for n in numbers if n is not None]
    return known if len(numbers) == len(known) == count else None


def integer(value: Any, largest: int = LARGEST_ID) -> int | None:
    """An integer that every program can hold, or None; some programs write 3 as 3.0, or as "3"."""
    value = identifier(value)
    return value if isinstance(value, int) and abs(value) < largest else None


def identifier(value: Any) -> Identifier | None:
    """What something is called in a file, or None where it is called nothing; 3, 3.0 and "3" are the same."""
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) and value.is_integer() else repr(value)
    if isinstance(value, str):
        text = value.strip()
        return int(text.partition(".")[0]) if INTEGER.fullmatch(text) else text or None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def is_set(value: Any) -> bool:
    """Whether a flag such as `iscrowd` is set, be it 1, 1.0, "1" or true."""
    return value is True or number_or_none(value) == 1


def some_of(names: Iterable[str]) -> str:
    """The first few of many, each once."""
    different = list(dict.fromkeys(names))
    return ", ".join(different[:EXAMPLES]) + (", …" if len(different) > EXAMPLES else "")


def short(value: Any) -> str:
    """A value as JSON, cut where it is long."""
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"


def text_of(content: bytes) -> str:
    """The text of a file in whatever encoding: with a byte-order mark, UTF-8, or what Windows writes."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
