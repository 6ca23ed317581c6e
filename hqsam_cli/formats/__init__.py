"""What other programs read and write: a file a format, and a line of one of these tables.

To add a prompt format, write a file with a function like `coco.read_instances`, which takes a parsed document and
returns its `Contents`, or None of a document that is not its own, and name it in `READERS`. A file that is no JSON has
a function like `tables.read_csv` in `FILE_READERS`; a format that is a folder of files has one like
`voc.read_voc_folder` in `FOLDER_READERS`. To add an output format, write a file with an `ImageWriter`, a `LabelWriter`
or a function for a `RecordsWriter`, and name it in `configs.formats`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias, cast

from ..configs.formats import MASK_FORMATS, MaskFormat
from ..io.copies import below
from ..records import Category
from .coco import read_instances, read_results, write_coco, write_results
from .cvat import read_cvat
from .image_writer import ImageWriter
from .label_writer import LabelWriter
from .labelme import read_labelme_folder
from .labelstudio import read_tasks
from .ndjson import read_lines, write_ndjson
from .prompt_file import Contents, Notes, PromptFile
from .run_records import RecordsWriter, WriteRecords
from .tables import read_csv, read_parquet
from .voc import read_voc_folder
from .yolo import YoloWriter, read_yolo_folder

READERS: dict[str, Callable[[Any, PromptFile | None, Notes], Contents | None]] = {
    "NDJSON": read_lines,
    "COCO instances": read_instances,
    "COCO results": read_results,
    "Label Studio": read_tasks,
}
# Of the content of a file that is no JSON.
FILE_READERS: dict[str, Callable[[bytes, Notes], Contents | None]] = {
    "CVAT": read_cvat,
    "Parquet": read_parquet,
    "CSV": read_csv,
}
ReadFolder = Callable[[Path, list[Path], Notes], Contents]
# Folders with a file an image, by the suffix of these files: what they are called, and what reads them.
FOLDER_READERS: dict[str, tuple[str, ReadFolder]] = {
    ".txt": ("YOLO labels", read_yolo_folder),
    ".xml": ("Pascal VOC", read_voc_folder),
    ".json": ("labelme", read_labelme_folder),
}
Writer: TypeAlias = ImageWriter | LabelWriter | RecordsWriter
MakeWriter = Callable[[Path | str, list[Category]], Writer]


def load_writer(own: MaskFormat) -> MakeWriter:
    """What makes the writer of a format."""
    module, _, name = own.writer.partition(".")
    made = getattr(import_module(f"{__name__}.{module}"), name)
    return partial(_of_records, made, name=own.file, beside=own.beside) if own.file else cast(MakeWriter, made)


def _of_records(
    write: WriteRecords, output: Path | str, _categories: list[Category], *, name: str = "", beside: str | None = None
) -> RecordsWriter:
    return RecordsWriter(below(output, name) if name else output, write, beside)


# Of masks, into a folder.
WRITERS = {name: load_writer(own) for name, own in MASK_FORMATS.items()}
# Of boxes, to the path that people give.
BOX_WRITERS: dict[str, MakeWriter] = {
    "coco": partial(_of_records, write_coco),
    "results": partial(_of_records, write_results),
    "yolo": YoloWriter,
    "ndjson": partial(_of_records, write_ndjson),
}
