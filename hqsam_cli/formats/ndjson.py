"""NDJSON: a line an image, read as prompts and written as results."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..io.atomic import atomic_file
from .annotations import json_line
from .prompt_file import PromptFile, add_image, integer
from .run_records import RunRecords


def read_lines(file: PromptFile, document: Any, _listed: PromptFile | None) -> list[Any] | None:
    """Keep the images of lines; returns their annotations with the line as the image they belong to.

    Args:
        document: a `Lines`, or one image, which is NDJSON of one line; anything else is none, and gives None.
    """
    if isinstance(document, dict) and "file_name" in document:
        document = Lines([document])
    if not isinstance(document, Lines):
        return None
    annotations: list[Any] = []
    for number, line in enumerate(document, 1):
        key = f"line {number}"
        own = (line.get("annotations") or []) if isinstance(line, dict) else None
        if not isinstance(own, list):
            file.problems.append(f"{file.path}: {key} is no image with annotations; left out")
            continue
        add_image(file, key, line, line.get("image_id"), key)
        annotations += [{**item, "image_id": key} if isinstance(item, dict) else item for item in own]
    named = ((integer(a.get("category_id")), a.get("category")) for a in annotations if isinstance(a, dict))
    names = {number: name for number, name in named if number is not None and isinstance(name, str)}
    file.categories += [{"id": number, "name": name} for number, name in sorted(names.items())]
    return annotations


class Lines(list[Any]):
    """The documents of a file with several lines."""


class NdjsonWriter:
    """`instances.ndjson` of a run, made of its records when it ends."""

    folder = None

    def __init__(self, output: Path, run: RunRecords) -> None:
        self.path, self.run = output / "instances.ndjson", run

    def write(self, result: object) -> None:
        """Nothing: the record of the image is kept by the run."""

    def remove(self, file_name: str) -> None:
        """Nothing: an image that failed has a line that says so."""

    def close(self) -> Path:
        """Write the file."""
        write_ndjson(self.path, self.run.records())
        return self.path


def write_ndjson(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """A line an image."""
    with atomic_file(path) as file:
        for record in records:
            file.write(json_line(record))
