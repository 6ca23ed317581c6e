"""NDJSON as prompts: one line per image, with its annotations."""

from __future__ import annotations

from typing import Any

from ...formats.coco import image_name
from ..prompt_file import PromptFile
from .coco import add_annotation, add_image

OBJECT = {"bbox", "box", "segmentation", "points", "polygon"}  # keys of objects


class Lines(list[Any]):
    """The documents of a file with several lines."""


def read_lines(document: Any, file: PromptFile) -> bool:
    """Read `Lines`, a list of the same, or a single image; equal images in two lines count as two."""
    lines = document if isinstance(document, list) else [document]
    if not any(map(_is_image, lines)):
        return False
    for number, line in enumerate(lines, 1):
        key = f"line {number}"
        if not _is_image(line):
            file.skip("lines without file_name and annotations, skipped", key)
            continue
        if line["annotations"] == [] and (other := next(filter(None, map(_other_objects, line.items())), None)):
            file.skip(f"lines without annotations, but with {other}, skipped", key)
            continue
        add_image(file, key, line, key)
        if line["annotations"] is None or line.get("error") is not None:
            file.unread.add(key)
        for item in line["annotations"] or ():
            add_annotation(file, item, key)
    return True


def _is_image(line: Any) -> bool:
    """Whether a line has a name and a list of annotations, which is null if they are unknown."""
    named = isinstance(line, dict) and image_name(line) is not None
    return named and isinstance(line.get("annotations", ""), list | None)


def _other_objects(item: tuple[str, Any]) -> str | None:
    """The key of a list of objects."""
    key, value = item
    objects = (own.keys() for own in value if isinstance(own, dict)) if isinstance(value, list) else ()
    return key if any(not OBJECT.isdisjoint(keys) for keys in objects) else None
