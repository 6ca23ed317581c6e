"""YOLO label files: a text file an image, a line a box, in shares of the image; read as prompts and written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..errors import HqsamError
from ..io.atomic import atomic_file
from .prompt_file import FileAnnotation, number_or_none, some_of

CLASSES = "classes.txt"
DECIMALS = 8  # less than a thousandth of a pixel of the largest image


def yolo_annotations(path: Path, problems: list[str]) -> Iterator[FileAnnotation]:
    """Boxes of a label file as corners in shares of the image; `problems` gets a sentence about bad lines.

    A line is class, center x and y, width, height, and maybe a score. Categories are classes plus one.
    """
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        problems.append(f"{path}: cannot be read ({error.strerror}); left out")
        return
    bad = []
    for number, line in enumerate(lines, 1):
        annotation = _annotation(line.split())
        if annotation is not None:
            yield annotation
        elif line.strip():
            bad.append(f"line {number}")
    if bad:
        problems.append(f"{path}: no class, x, y, width, height: {len(bad)} ({some_of(bad)}); left out")


def _annotation(fields: list[str]) -> FileAnnotation | None:
    try:
        numbers = [number_or_none(float(field)) for field in fields]
    except ValueError:
        return None
    if len(numbers) not in (5, 6) or None in numbers:
        return None
    category, x, y, w, h, *score = (n for n in numbers if n is not None)
    if w <= 0 or h <= 0 or category < 0 or category != int(category):
        return None
    corners = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    return FileAnnotation("", corners, category_id=int(category) + 1, score=score[0] if score else None)


def yolo_categories(folder: Path) -> list[dict[str, Any]]:
    """COCO categories of `classes.txt`, a name a line, where the folder has one.

    Raises:
        HqsamError: it cannot be read.
    """
    path = folder / CLASSES
    if not path.is_file():
        return []
    try:
        names = path.read_text("utf-8", "replace").splitlines()
    except OSError as error:
        raise HqsamError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    return [{"id": number, "name": name} for number, name in enumerate(names, 1) if name]


def write_yolo(folder: Path, records: Iterable[dict[str, Any]], categories: list[dict[str, Any]]) -> None:
    """`<path of the image without its suffix>.txt` for each image that was read, and `classes.txt`.

    A line is class, center, size and score; the class is the place of the category. Of images that differ in their
    suffix alone, all but the first keep it: `a.txt`, `a.png.txt`.
    """
    classes = {category["id"]: number for number, category in enumerate(categories)}
    with atomic_file(folder / CLASSES) as file:
        file.write("".join(f"{category['name']}\n" for category in categories).encode())
    taken = {CLASSES}
    for record in records:
        if record["width"] is None:
            continue
        name = f"{os.path.splitext(record['file_name'])[0]}.txt"
        if name in taken:
            name = f"{record['file_name']}.txt"
        taken.add(name)
        lines = (_line(a, classes[a["category_id"]], record["width"], record["height"]) for a in record["annotations"])
        with atomic_file(folder / name) as file:
            file.write("".join(lines).encode())


def _line(annotation: dict[str, Any], number: int, width: int, height: int) -> str:
    x, y, w, h = annotation["bbox"]
    shares = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
    return f"{number} {' '.join(f'{share:.{DECIMALS}f}' for share in shares)} {annotation['score']:g}\n"
