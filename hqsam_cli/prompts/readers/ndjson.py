"""NDJSON as prompts: one line per image, with its annotations."""

from __future__ import annotations

from typing import Any

from ...formats.coco import image_name
from ..prompt_file import PromptFile
from .coco import add_annotation, add_image


class Lines(list[Any]):
    """The documents of a file with several lines."""


def read_lines(document: Any, file: PromptFile) -> bool:
    """Read `Lines`, or a single image as NDJSON of one line; equal images in two lines count as two."""
    lines = document if isinstance(document, Lines) else [document]
    if not any(map(_is_image, lines)):
        return False
    for number, line in enumerate(lines, 1):
        key = f"line {number}"
        if not _is_image(line):
            file.skip("lines without file_name and annotations, skipped", key)
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
