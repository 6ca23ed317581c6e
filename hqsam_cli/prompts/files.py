"""Reading prompt files: COCO instances, COCO results and NDJSON as the same small records.

Nothing in a file is believed: every number is checked, and names that leave the image folder are refused.
What is wrong with one entry is a sentence in `problems`; what is wrong with the whole file is an error.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from ..errors import HqsamError

STDIN = "-"


@dataclass(frozen=True, slots=True)
class FileImage:
    """An image a file speaks of.

    Attributes:
        key: its id in the file, as text.
        image_id: the id the results keep, or None where it is no integer.
        file_name: or None: then `key` equals the stem of an image file.
        size: (width, height) or None.
    """

    key: str
    image_id: int | None
    file_name: str | None
    size: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class FileAnnotation:
    """One object a file speaks of; `box` holds corners, `mask` a COCO segmentation."""

    key: str
    annotation_id: int | None
    category_id: int
    score: float | None
    box: tuple[float, float, float, float] | None
    points: np.ndarray | None
    mask: Any


@dataclass(slots=True)
class PromptFile:
    """Everything a file says.

    Attributes:
        path: for messages.
        digest: SHA-256 of its content.
        refused: ids of images that must not be looked for.
        rejected: a sentence about each of them.
        problems: sentences about annotations that were dropped.
    """

    path: str
    digest: str = ""
    images: dict[str, FileImage] = field(default_factory=dict)
    annotations: list[FileAnnotation] = field(default_factory=list)
    categories: list[dict[str, Any]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    rejected: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_prompt_file(path: str, stdin: BinaryIO | None = None) -> PromptFile:
    """Records of a file, or of stdin for `-`.

    Raises:
        HqsamError: unreadable, not JSON, or JSON of another kind.
    """
    name = "stdin" if path == STDIN else path
    content = _content(path, stdin)
    document = _document(content, name)
    file = PromptFile(name, hashlib.sha256(content).hexdigest())
    if isinstance(document, dict) and isinstance(document.get("images"), list):
        _read_coco(file, document)
    elif isinstance(document, list) and all(isinstance(item, dict) and "image_id" in item for item in document):
        _read_annotations(file, document, results=True)
    elif isinstance(document, _Lines) or (isinstance(document, dict) and "file_name" in document):
        _read_lines(file, document if isinstance(document, _Lines) else _Lines([document]))
    else:
        raise HqsamError(
            f"{name}: JSON, but no COCO: expected an object with images and annotations, a list of results "
            "with image_id, or a line an image with file_name and annotations"
        )
    return file


class _Lines(list[Any]):
    """Documents of an NDJSON file."""


def _content(path: str, stdin: BinaryIO | None) -> bytes:
    if path == STDIN:
        assert stdin is not None
        return stdin.read()
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise HqsamError(f"{path}: cannot be read ({error.strerror}); give a COCO or NDJSON file") from None


def _document(content: bytes, name: str) -> Any:
    try:
        return json.loads(content)
    except RecursionError:
        raise HqsamError(f"{name}: JSON nested too deeply to be COCO") from None
    except ValueError as whole:
        lines = _Lines()
        for number, line in enumerate(content.splitlines(), 1):
            if not line.strip():
                continue
            try:
                lines.append(json.loads(line))
            except (ValueError, RecursionError):
                reason = f"line {number} is not JSON" if lines else f"not JSON ({whole})"
                raise HqsamError(f"{name}: {reason}; give a COCO or NDJSON file") from None
        if not lines:
            raise HqsamError(f"{name}: empty; give a COCO or NDJSON file") from None
        return lines


def _read_coco(file: PromptFile, document: dict[str, Any]) -> None:
    for number, item in enumerate(document["images"]):
        _add_image(file, item, f"image entry {number}")
    categories = document.get("categories")
    for item in categories if isinstance(categories, list) else []:
        if isinstance(item, dict) and _integer(item.get("id")) is not None:
            file.categories.append(item)
    annotations = document.get("annotations", [])
    if not isinstance(annotations, list):
        raise HqsamError(f"{file.path}: annotations is no list; give COCO instances JSON")
    _read_annotations(file, annotations)


def _read_lines(file: PromptFile, lines: _Lines) -> None:
    for number, line in enumerate(lines, 1):
        key = f"line {number}"
        if not isinstance(line, dict) or not isinstance(line.get("annotations", []), list):
            file.problems.append(f"{file.path}: {key} is no image with annotations; ignored")
            continue
        image = {**line, "id": line.get("image_id", key)}
        if not _add_image(file, image, key):
            continue
        own = [a for a in line.get("annotations", []) if isinstance(a, dict)]
        _read_annotations(file, [{**a, "image_id": image["id"]} for a in own])


def _add_image(file: PromptFile, item: Any, where: str) -> bool:
    """Keep one image; False where it was refused."""
    name = item.get("file_name") if isinstance(item, dict) else None
    if not isinstance(name, str) or not name or not isinstance(item.get("id"), int | str):
        file.problems.append(f"{file.path}: {where} has no file_name and id; ignored")
        return False
    key = str(item["id"])
    if unsafe_name(name):
        file.rejected.append(
            f"{file.path}: file_name {name!r} leaves the image folder; make it relative to that folder"
        )
        file.refused.add(key)
        return False
    width, height = _integer(item.get("width")), _integer(item.get("height"))
    size = (width, height) if width and height and width > 0 and height > 0 else None
    file.images[key] = FileImage(key, _integer(item["id"]), str(PurePosixPath(name)), size)
    return True


def unsafe_name(name: str) -> bool:
    """Whether a name from outside could point outside of a folder."""
    return (
        name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or "\0" in name or name[1:2] == ":"
    )


def _read_annotations(file: PromptFile, items: list[Any], *, results: bool = False) -> None:
    """Keep the sound annotations; of a results list, images are whatever the ids say."""
    unknown: dict[str, int] = {}
    crowds = 0
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict) or not isinstance(item.get("image_id"), int | str):
            file.problems.append(f"{file.path}: annotation entry {number} has no image_id; ignored")
            continue
        key = str(item["image_id"])
        if key in file.refused:
            continue
        if results:
            file.images.setdefault(key, FileImage(key, _integer(item["image_id"]), None, None))
        elif key not in file.images:
            unknown[key] = unknown.get(key, 0) + 1
            continue
        if item.get("iscrowd") in (1, True):
            crowds += 1
            continue
        annotation = _annotation(file, item, key, number)
        if annotation is not None:
            file.annotations.append(annotation)
    if crowds:
        file.problems.append(f"{file.path}: {crowds} crowd regions are not objects; ignored")
    for key, count in list(unknown.items())[:5]:
        file.problems.append(f"{file.path}: {count} annotations of image id {key}, which is not in images; ignored")
    if len(unknown) > 5:
        rest = sum(list(unknown.values())[5:])
        file.problems.append(f"{file.path}: {rest} annotations of {len(unknown) - 5} more unknown image ids; ignored")


def _annotation(file: PromptFile, item: dict[str, Any], key: str, number: int) -> FileAnnotation | None:
    annotation_id = _integer(item.get("id"))
    where = (
        f"{file.path}: annotation {annotation_id if annotation_id is not None else f'entry {number}'} of image {key}"
    )
    box, points = None, None
    if item.get("bbox") is not None:
        box = _corners(item["bbox"])
        if box is None:
            file.problems.append(f"{where}: bbox {_short(item['bbox'])} is no x, y, width > 0, height > 0; ignored")
            return None
    if item.get("points") is not None:
        points = _points(item["points"])
        if points is None:
            file.problems.append(f"{where}: points {_short(item['points'])} are no [x, y, 1 or 0]; ignored")
            return None
    mask = item.get("segmentation") or None
    score = _number(item.get("score"))
    category = _integer(item.get("category_id"))
    category = 1 if category is None else category
    return FileAnnotation(key, annotation_id, category, score, box, points, mask)


def _corners(bbox: Any) -> tuple[float, float, float, float] | None:
    """xywh as corners, or None where it is no box."""
    if not isinstance(bbox, list) or len(bbox) != 4:
        return None
    numbers = [n for n in map(_number, bbox) if n is not None]
    if len(numbers) != 4 or numbers[2] <= 0 or numbers[3] <= 0:
        return None
    x, y, width, height = numbers
    return x, y, x + width, y + height


def _points(value: Any) -> np.ndarray | None:
    """Points as float32 (n, 3), or None where one of them is no point."""
    rows = list(_point_rows(value)) if isinstance(value, list) and value else [None]
    return None if None in rows else np.array(rows, np.float32)


def _point_rows(value: list[Any]) -> Iterator[tuple[float, float, float] | None]:
    for row in value:
        numbers = [_number(n) for n in row] if isinstance(row, list) and len(row) == 3 else [None]
        x, y, label = numbers if len(numbers) == 3 else (None, None, None)
        yield (x, y, label) if x is not None and y is not None and label in (0, 1) else None  # type: ignore[misc]


def _number(value: Any) -> float | None:
    """A finite float of a sensible size, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and abs(number) < 1e9 else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63 else None


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "…"
