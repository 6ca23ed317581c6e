"""NDJSON: a line an image, read as prompts and written as results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..io.atomic import atomic_file
from .annotations import json_line, shown
from .prompt_file import Contents, Notes, PromptFile, note, read_images
from .run_records import RunRecords

INSTANCES = "instances.ndjson"  # of a run


def read_lines(document: Any, _listed: PromptFile | None, notes: Notes) -> Contents | None:
    """Images of lines, and their annotations with the line as the image they belong to.

    Args:
        document: a `Lines`, or one image, which is NDJSON of one line; anything else is none, and gives None.
    """
    if isinstance(document, dict) and "file_name" in document:
        document = Lines([document])
    if not isinstance(document, Lines):
        return None
    annotations: list[Any] = []
    items, odd, silent = [], [], []
    for number, line in enumerate(document, 1):
        key = f"line {number}"
        if not isinstance(line, dict) or not isinstance(line.get("annotations", ""), list | None):
            odd.append(key)
            continue
        own = line["annotations"]
        if own is None or line.get("error") is not None:
            silent.append(key)
        items.append((key, line, key))
        annotations += [{**item, "image_id": key} if isinstance(item, dict) else item for item in own or ()]
    note(notes.lost, "lines that are no images with annotations, left out", odd)
    return Contents(read_images(items, notes), annotations, silent=silent)


class Lines(list[Any]):
    """The documents of a file with several lines."""


def write_ndjson(path: Path, run: RunRecords) -> None:
    """A line an image."""
    with atomic_file(path) as file:
        for record in run.records():
            file.write(json_line(shown(record, run.segmentation)))
