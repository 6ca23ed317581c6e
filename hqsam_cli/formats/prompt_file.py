"""What a prompt file says, whatever its format: small records, every number checked.

Nothing in a file is believed: names that leave the image folder are refused. What is wrong with one entry is a sentence
in `problems`; what is wrong with the whole file is an error.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np

EXAMPLES = 3  # named of many alike
LARGEST_NUMBER = 1e9  # a coordinate beyond is no pixel
LARGEST_ID = 2**53  # what every reader of JSON holds exactly
LARGEST_ANNOTATION_ID = LARGEST_ID // 3  # of a prompt, whose three masks have ids of their own

Use = Literal["box", "points", "mask", "whole_image", "xyxyn"]


@dataclass(frozen=True, slots=True)
class FileImage:
    """An image a file speaks of.

    Attributes:
        key: what annotations of the file call it.
        image_id: the id the results keep, or None where it is no integer.
        file_name: or None: then `key` equals the stem of an image file.
        size: (width, height) or None.
    """

    key: str
    image_id: int | None = None
    file_name: str | None = None
    size: tuple[int, int] | None = None

    @property
    def label(self) -> str:
        """What people know it by."""
        return f"image id {self.key}" if self.file_name is None else self.file_name


@dataclass(frozen=True, slots=True)
class FileAnnotation:
    """One object a file speaks of.

    Attributes:
        key: of its image.
        annotation_id: or None where it has none.
        value: what the file was read for: corners of a box, in pixels or shares, points (n, 3), or a segmentation.
    """

    key: str
    value: Any
    annotation_id: int | None = None
    category_id: int = 1
    score: float | None = None


@dataclass(slots=True)
class PromptFile:
    """Everything a file says.

    Attributes:
        path: for messages.
        digest: SHA-256 of its content.
        entries: how many annotations it has, be they sound or not.
        by_stem: its image ids are stems of file names, for want of a list of images.
        refused: keys of images that must not be looked for.
        rejected: a sentence about each of them.
        problems: sentences about what was left out.
    """

    path: str
    digest: str = ""
    entries: int = 0
    by_stem: bool = False
    images: dict[str, FileImage] = field(default_factory=dict)
    annotations: list[FileAnnotation] = field(default_factory=list)
    categories: list[dict[str, Any]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    rejected: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def add_image(file: PromptFile, key: str, item: dict[str, Any], image_id: Any, where: str) -> None:
    """Keep an image that a file lists, or say why not."""
    name = item.get("file_name")
    if not isinstance(name, str) or not name:
        file.problems.append(f"{file.path}: {where} has no file_name; left out")
        file.refused.add(key)
    elif leaves_folder(name):
        file.rejected.append(
            f"{file.path}: file_name {name!r} leaves the image folder; make it relative to that folder"
        )
        file.refused.add(key)
    else:
        width, height = integer(item.get("width")), integer(item.get("height"))
        size = (width, height) if width and height and width > 0 and height > 0 else None
        file.images[key] = FileImage(key, integer(image_id), str(PurePosixPath(name)), size)


def leaves_folder(name: str) -> bool:
    """Whether a name from a file is absolute, or could climb out of the folder of the images."""
    absolute = name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[/\\]", name) is not None
    return absolute or ".." in re.split(r"[/\\]", name) or "\0" in name


def read_annotations(file: PromptFile, items: list[Any], use: Use) -> None:
    """Keep the sound annotations, and say of the others why not."""
    field_name, read = FIELDS[use]
    file.entries = len(items)
    notes: dict[str, list[str]] = {}
    for number, item in enumerate(items, 1):
        key = key_of(item.get("image_id")) if isinstance(item, dict) else None
        if key is None:
            notes.setdefault("annotations without image_id, left out", []).append(f"entry {number}")
            continue
        if key in file.refused:
            continue
        if key not in file.images:
            notes.setdefault("annotations of unlisted images, left out", []).append(f"image id {key}")
            continue
        annotation_id = integer(item.get("id"), LARGEST_ANNOTATION_ID)
        shown = f"entry {number}" if annotation_id is None else annotation_id
        where = f"annotation {shown} of {file.images[key].label}"
        value = item.get(field_name)
        if item.get("iscrowd") == 1:
            notes.setdefault("crowd regions, left out", []).append(where)
        elif value is None or value == []:
            notes.setdefault(f"annotations without {field_name}, left out", []).append(where)
        else:
            try:
                value = read(value)
            except ValueError as error:
                file.problems.append(f"{file.path}: {where}: {field_name} {short(value)} {error}; left out")
                continue
            category, score = integer(item.get("category_id")), number_or_none(item.get("score"))
            if category is None and item.get("category_id") is not None:
                notes.setdefault("category_id that is no integer, made 1", []).append(where)
            if annotation_id is None and item.get("id") is not None:
                notes.setdefault("id that is no integer a result can have, given anew", []).append(where)
            if score is None and item.get("score") is not None:
                notes.setdefault("scores that are no numbers, ignored", []).append(where)
            file.annotations.append(
                FileAnnotation(key, value, annotation_id, 1 if category is None else category, score)
            )
    for reason, examples in notes.items():
        file.problems.append(f"{file.path}: {reason}: {len(examples)} ({some_of(examples)})")


def _corners(value: Any) -> tuple[float, float, float, float]:
    """xywh as corners."""
    numbers = [number_or_none(n) for n in value] if isinstance(value, list) else []
    if len(numbers) != 4 or None in numbers:
        raise ValueError("is not four finite numbers x, y, width, height")
    x, y, width, height = (n for n in numbers if n is not None)
    if width <= 0 or height <= 0:
        raise ValueError("has no area")
    return x, y, x + width, y + height


def _points(value: Any) -> np.ndarray:
    """Points as float32 (n, 3): x, y, label."""
    rows = [[number_or_none(n) for n in row] if isinstance(row, list) else [] for row in _listed(value)]
    if not all(len(row) == 3 and None not in row and row[2] in (0, 1) for row in rows):
        raise ValueError("is not a list of [x, y, 1 or 0]")
    return np.array(rows, np.float32)


def _segmentation(value: Any) -> Any:
    """An RLE or polygons; their content is checked against the image."""
    if isinstance(value, dict) and "counts" in value and "size" in value:
        return value
    return _listed(value)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("is of another kind")
    return value


FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "box": ("bbox", _corners),
    "points": ("points", _points),
    "mask": ("segmentation", _segmentation),
}


def number_or_none(value: Any) -> float | None:
    """A finite float within reason, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < LARGEST_NUMBER and math.isfinite(value) else None


def integer(value: Any, largest: int = LARGEST_ID) -> int | None:
    """An integer that can be an id, or None; some programs write 3 as 3.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < largest else None


def key_of(image_id: Any) -> str | None:
    """What an image is called within a file, or None where it is called nothing."""
    if isinstance(image_id, float):
        image_id = integer(image_id)
    return str(image_id) if isinstance(image_id, int | str) else None


def some_of(names: list[str]) -> str:
    """The first few of many, each once."""
    different = list(dict.fromkeys(names))
    return ", ".join(different[:EXAMPLES]) + (", …" if len(different) > EXAMPLES else "")


def short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"
