"""NDJSON as prompts: one line per image, with its annotations."""

from __future__ import annotations

from typing import Any

from ..prompt_file import PromptFile
from .coco import add_annotation, add_image


class Lines(list[Any]):
    """The documents of a file with several lines."""


def read_lines(document: Any, file: PromptFile) -> bool:
    """Read `Lines`, or a single image as NDJSON of one line; equal images in two lines count as two."""
    if isinstance(document, dict) and "file_name" in document:
        document = Lines([document])
    if not isinstance(document, Lines):
        return False
    for number, line in enumerate(document, 1):
        key = f"line {number}"
        if not isinstance(line, dict) or not isinstance(line.get("annotations", ""), list | None):
            file.lose("lines that are not images with annotations, skipped", key)
            continue
        add_image(file, key, line, key)
        if line["annotations"] is None or line.get("error") is not None:
            file.unread.add(key)
        for item in line["annotations"] or ():
            add_annotation(file, item, key)
    return True
