"""NDJSON: one line per image."""

from __future__ import annotations

from pathlib import Path

from ..configs.formats import MASK_FORMATS
from ..io.atomic import atomic_file
from .coco import RunRecords, json_line, shown

INSTANCES = MASK_FORMATS["ndjson"].file  # of a run


def write_ndjson(path: Path, run: RunRecords) -> None:
    """Write one line per image."""
    with atomic_file(path) as file:
        for record in run.records():
            file.write(json_line(shown(record, run.segmentation)))
