"""What other programs read and write: a file a format, and a line of one of these tables.

To add a prompt format, write a file with a function like `coco.read_instances`, which takes a parsed document and
returns its annotations, or None of a document that is not its own, and name it in `READERS`. To add an output format,
write a file with a class like `png.PngWriter` (see `run_records.Writer`) and name it in `WRITERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from .coco import CocoWriter, read_instances, read_results
from .idmap import IdMapWriter
from .ndjson import NdjsonWriter, read_lines
from .png import PngWriter
from .prompt_file import PromptFile
from .run_records import RunRecords, Writer

READERS: dict[str, Callable[[PromptFile, Any, PromptFile | None], list[Any] | None]] = {
    "NDJSON": read_lines,
    "COCO instances": read_instances,
    "COCO results": read_results,
}
WRITERS: dict[str, Callable[[Path, RunRecords], Writer]] = {
    "coco": CocoWriter,
    "png": PngWriter,
    "idmap": IdMapWriter,
    "ndjson": NdjsonWriter,
}
