"""Boxes of a folder of YOLO label files: a text file an image, a line a box, in shares of the image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import HqsamError
from ..prompts.match import tails
from .prompt_files import FileAnnotation, number_or_none, some_of

CLASSES = "classes.txt"


def label_files(folder: Path, file_names: list[str]) -> tuple[dict[str, Path], list[str]]:
    """Label files by image, and a sentence for each that could be for several and for those that are for none.

    The labels of `imgs/a.jpg` are `imgs/a.jpg.txt`, else `imgs/a.txt`, else `a.jpg.txt` or `a.txt`.
    """
    images: dict[Path, list[str]] = {path: [] for path in sorted(folder.rglob("*.txt")) if path.name != CLASSES}
    for name in file_names:
        stems = (stem for tail in (name, *tails(name)) for stem in (tail, os.path.splitext(tail)[0]))
        path = next((path for stem in stems if (path := folder / f"{stem}.txt") in images), None)
        if path is not None:
            images[path].append(name)
    idle = [str(path.relative_to(folder)) for path, names in images.items() if not names]
    problems = [
        f"{path}: could be for any of {some_of(names)}; left out" for path, names in images.items() if len(names) > 1
    ]
    if idle:
        problems.append(f"{folder}: labels that match no input: {len(idle)} ({some_of(idle)})")
    return {names[0]: path for path, names in images.items() if len(names) == 1}, problems


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
