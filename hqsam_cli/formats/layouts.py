"""Data sets in the folder layouts of other programs: a COCO file, and links to the images."""

from __future__ import annotations

from pathlib import Path

from ..configs.formats import Layout
from ..io.links import hard_link_image, link_image
from .coco import RunRecords, write_coco


def write_layout(folder: Path, layout: Layout, run: RunRecords) -> None:
    """Write the COCO file of a layout, and link the images that did not fail under their names in it."""
    file = folder / layout.file
    file.parent.mkdir(parents=True, exist_ok=True)
    write_coco(file, run)
    link = link_image if layout.symbolic else hard_link_image
    for record in run.records():
        if record.failure is None:
            link(folder / layout.images / record.file_name, record.path)
