"""Output formats. Formats of prompts are in `prompts/readers/`.

To add an output format, write a file with an `ImageWriter`, a `LabelWriter` or a function for a `RecordsWriter`, and
name it in `configs.formats`.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path
from typing import cast

from ..configs.formats import MASK_FORMATS, MaskFormat
from ..io.copies import below
from ..records import Category
from .coco import write_coco, write_results
from .ndjson import write_ndjson
from .outputs import MakeWriter, RecordsWriter, WriteRecords
from .yolo import YoloWriter


def load_writer(own: MaskFormat) -> MakeWriter:
    """Load the factory of the writer of a format."""
    module, _, name = own.writer.partition(".")
    made = getattr(import_module(f"{__name__}.{module}"), name)
    return partial(_of_records, made, name=own.file, beside=own.beside) if own.file else cast(MakeWriter, made)


def _of_records(
    write: WriteRecords, output: Path | str, _categories: list[Category], *, name: str = "", beside: str | None = None
) -> RecordsWriter:
    return RecordsWriter(below(output, name) if name else output, write, beside)


# Mask formats, written to a folder.
WRITERS = {name: load_writer(own) for name, own in MASK_FORMATS.items()}
# Box formats, written to the path given by the user.
BOX_WRITERS: dict[str, MakeWriter] = {
    "coco": partial(_of_records, write_coco),
    "results": partial(_of_records, write_results),
    "yolo": YoloWriter,
    "ndjson": partial(_of_records, write_ndjson),
}
