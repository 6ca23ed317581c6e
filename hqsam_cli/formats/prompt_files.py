"""Reading prompt files: COCO instances, COCO results and NDJSON as the same small records.

Nothing in a file is believed: every number is checked, and names that leave the image folder are refused.
What is wrong with one entry is a sentence in `problems`; what is wrong with the whole file is an error.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO, Literal

import numpy as np

from ..errors import HqsamError

STDIN = "-"
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
        by_stem: its image ids are stems of file names, for want of a list of images.
        refused: keys of images that must not be looked for.
        rejected: a sentence about each of them.
        problems: sentences about what was left out.
    """

    path: str
    digest: str = ""
    by_stem: bool = False
    images: dict[str, FileImage] = field(default_factory=dict)
    annotations: list[FileAnnotation] = field(default_factory=list)
    categories: list[dict[str, Any]] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    rejected: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_prompt_file(
    path: str, use: Use | None, *, stdin: BinaryIO | None = None, listed: PromptFile | None = None
) -> PromptFile:
    """Records of a file, or of stdin for `-`.

    Args:
        use: what its annotations are read for; None reads images and categories alone.
        listed: the file that lists the images of a results list.

    Raises:
        HqsamError: unreadable, not JSON, or JSON of another kind.
    """
    name = "stdin" if path == STDIN else path
    content = _content(path, stdin)
    document, lines = _document(content, name)
    file = PromptFile(name, hashlib.sha256(content).hexdigest())
    if lines is not None:
        annotations = _line_annotations(file, lines)
    elif isinstance(document, dict) and isinstance(document.get("images"), list):
        annotations = _coco_annotations(file, document)
    elif isinstance(document, list) and _are_results(document):
        annotations = document
        _add_result_images(file, document, listed)
    else:
        raise HqsamError(
            f"{name}: JSON, but no COCO: give an object with images and annotations, a list of results with "
            "image_id, or a line an image with file_name and annotations"
        )
    if use is not None:
        _read_annotations(file, annotations, use)
    return file


def _content(path: str, stdin: BinaryIO | None) -> bytes:
    if path == STDIN:
        assert stdin is not None
        return stdin.read()
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise HqsamError(f"{path}: cannot be read ({error.strerror}); give a COCO or NDJSON file") from None


def _document(content: bytes, name: str) -> tuple[Any, list[Any] | None]:
    """The JSON document, or the documents of NDJSON; a single image is NDJSON of one line."""
    try:
        document = _parsed(content)
        return document, [document] if isinstance(document, dict) and "file_name" in document else None
    except RecursionError:
        raise HqsamError(f"{name}: JSON nested too deeply to be COCO; give a COCO or NDJSON file") from None
    except ValueError as whole:
        lines: list[Any] = []
        for number, line in enumerate(content.splitlines(), 1):
            try:
                lines += [_parsed(line)] if line.strip() else []
            except (ValueError, RecursionError):
                reason = f"line {number} is not JSON" if lines else f"not JSON ({whole})"
                raise HqsamError(f"{name}: {reason}; give a COCO or NDJSON file") from None
        if not lines:
            raise HqsamError(f"{name}: empty; give a COCO or NDJSON file") from None
        return None, lines


def _parsed(text: bytes) -> Any:
    """The value of a JSON text. NaN and the infinities, which Python writes and JSON does not know, are null."""
    return json.loads(text, parse_constant=lambda _name: None)


def _coco_annotations(file: PromptFile, document: dict[str, Any]) -> list[Any]:
    """Keep the images and categories of COCO instances; returns their annotations."""
    for number, item in enumerate(document["images"], 1):
        where = f"image entry {number}"
        image_id = _key(item.get("id")) if isinstance(item, dict) else None
        if image_id is None:
            file.problems.append(f"{file.path}: {where} has no id; left out")
        elif image_id in file.images:
            file.problems.append(f"{file.path}: {where} has the id {image_id} of an earlier one; left out")
        else:
            _add_image(file, image_id, item, item.get("id"), where)
    renamed = [image.label for image in file.images.values() if image.image_id is None]
    if renamed:
        count, some = len(renamed), some_of(renamed)
        file.problems.append(f"{file.path}: image ids that are no integers, given anew: {count} ({some})")
    categories = document.get("categories")
    known: set[int] = set()
    for item in categories if isinstance(categories, list) else []:
        category_id = integer(item.get("id")) if isinstance(item, dict) else None
        if category_id is None:
            file.problems.append(f"{file.path}: category {_short(item)} has no integer id; left out")
        elif category_id not in known:
            known.add(category_id)
            file.categories.append(item | {"id": category_id})
    annotations = document.get("annotations", [])
    if not isinstance(annotations, list):
        raise HqsamError(f"{file.path}: its annotations are no list; give COCO instances JSON")
    return annotations


def _line_annotations(file: PromptFile, lines: list[Any]) -> list[Any]:
    """Keep the images of NDJSON; returns their annotations with the line as the image they belong to."""
    annotations: list[Any] = []
    for number, line in enumerate(lines, 1):
        key = f"line {number}"
        own = (line.get("annotations") or []) if isinstance(line, dict) else None
        if not isinstance(own, list):
            file.problems.append(f"{file.path}: {key} is no image with annotations; left out")
            continue
        _add_image(file, key, line, line.get("image_id"), key)
        annotations += [{**item, "image_id": key} if isinstance(item, dict) else item for item in own]
    named = ((integer(a.get("category_id")), a.get("category")) for a in annotations if isinstance(a, dict))
    names = {number: name for number, name in named if number is not None and isinstance(name, str)}
    file.categories += [{"id": number, "name": name} for number, name in sorted(names.items())]
    return annotations


def _are_results(items: list[Any]) -> bool:
    """Whether a list holds COCO results, be some of them damaged; none at all are results too."""
    return not items or any(isinstance(item, dict) and "image_id" in item for item in items)


def _add_result_images(file: PromptFile, results: list[Any], listed: PromptFile | None) -> None:
    """Images of a results list: those that are listed elsewhere, else whatever its ids name."""
    if listed is not None:
        file.images, file.refused, file.categories = listed.images, listed.refused, listed.categories
        return
    file.by_stem = True
    for item in results:
        key = _key(item.get("image_id")) if isinstance(item, dict) else None
        if key is not None:
            file.images.setdefault(key, FileImage(key, integer(item["image_id"])))


def _add_image(file: PromptFile, key: str, item: dict[str, Any], image_id: Any, where: str) -> None:
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


def _read_annotations(file: PromptFile, items: list[Any], use: Use) -> None:
    """Keep the sound annotations, and say of the others why not."""
    field_name, read = READERS[use]
    notes: dict[str, list[str]] = {}
    for number, item in enumerate(items, 1):
        key = _key(item.get("image_id")) if isinstance(item, dict) else None
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
                file.problems.append(f"{file.path}: {where}: {field_name} {_short(value)} {error}; left out")
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


READERS: dict[str, tuple[str, Callable[[Any], Any]]] = {
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


def _key(image_id: Any) -> str | None:
    """What an image is called within a file, or None where it is called nothing."""
    if isinstance(image_id, float):
        image_id = integer(image_id)
    return str(image_id) if isinstance(image_id, int | str) else None


def some_of(names: list[str]) -> str:
    """The first few of many, each once."""
    different = list(dict.fromkeys(names))
    return ", ".join(different[:EXAMPLES]) + (", …" if len(different) > EXAMPLES else "")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "…"
