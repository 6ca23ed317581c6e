"""NDJSON of Ultralytics: a line with the class names, then a line per image, with labels as in YOLO label files."""

from __future__ import annotations

from typing import Any

from ...formats.values import dict_or_empty, integer, read_numbers
from ...records import NormalizedPolygon
from ..prompt_file import PromptFile
from .coco import Lines

BOXES, POLYGONS = ("boxes", "pose"), ("segments", "obb")  # keys of labels; key points follow the box


def read_dataset(document: Any, file: PromptFile) -> bool:
    """Read boxes, polygons, oriented boxes, and the boxes of key points; category ids are class indices plus one."""
    if not isinstance(document, Lines) or not any(map(_is_image, document)):
        return False
    file.numbered = False
    categories: dict[int, str] = {}
    for number, line in enumerate(document, 1):
        key = f"line {number}"
        if isinstance(line, dict) and line.get("type") == "dataset":
            names = line.get("class_names")
            numbered = names.items() if isinstance(names, dict) else ()
            categories |= {n + 1: str(name) for text, name in numbered if (n := integer(text)) is not None}
        elif not _is_image(line):
            file.skip("lines that are no images, skipped", key)
        else:
            file.add_image(key, line["file"], key, (line.get("width"), line.get("height")))
            _add_labels(line.get("annotations"), key, file)
    file.categories = [{"id": n, "name": name} for n, name in categories.items()]
    return True


def _add_labels(annotations: Any, key: str, file: PromptFile) -> None:
    labels = dict_or_empty(annotations)
    if not labels.keys() & {*BOXES, *POLYGONS}:
        file.lose("images without boxes, segments, pose or obb, skipped", key, key)
    for kind in (kind for kind in (*BOXES, *POLYGONS) if isinstance(labels.get(kind), list)):
        for place, item in enumerate(labels[kind], 1):
            item = item[:5] if kind in BOXES and isinstance(item, list) else item
            number, *numbers = read_numbers(item, len(item)) or (0,) if isinstance(item, list) else (0,)
            is_polygon = kind in POLYGONS and len(numbers) >= 6 and len(numbers) % 2 == 0
            file.add(
                key,
                f"{kind} {place}",
                category=int(number) + 1,
                box=None if is_polygon else numbers,
                box_format="cxcywhn",
                segmentation=NormalizedPolygon(tuple(numbers)) if is_polygon else None,
            )


def _is_image(line: Any) -> bool:
    return isinstance(line, dict) and line.get("type") == "image" and isinstance(line.get("file"), str)
