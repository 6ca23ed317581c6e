"""Boxes as YOLO label files: a text file an image, a line a box, in shares of the image."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..io.atomic import atomic_file

CLASSES = "classes.txt"
DECIMALS = 8  # less than a thousandth of a pixel of the largest image


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
