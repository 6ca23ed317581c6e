"""What other programs read and write: a file a format, and a line of one of these tables.

To add a prompt format, write a file with a function like `coco.read_instances`, which takes a parsed document and
returns its `Contents`, or None of a document that is not its own, and name it in `READERS`. A file that is no JSON has
a function like `tables.read_csv` in `FILE_READERS`; a format that is a folder of files has one like
`voc.read_voc_folder` in `FOLDER_READERS`. To add an output format, write a file with an `ImageWriter`, a `LabelWriter`
or a function for a `RecordsWriter`, and name it in `WRITERS`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from ..io.copies import below
from ..records import Category
from . import coco, ndjson
from .coco import read_instances, read_results, write_coco, write_results
from .cutouts import CropWriter, CutoutWriter
from .cvat import read_cvat, write_cvat
from .idmap import IdMapWriter
from .image_writer import ImageWriter
from .label_writer import LabelWriter
from .labelme import LabelmeWriter, read_labelme_folder
from .labelstudio import read_tasks, write_tasks
from .ndjson import read_lines, write_ndjson
from .png import PngWriter
from .prompt_file import Contents, Notes, PromptFile
from .run_records import RecordsWriter, WriteRecords
from .tables import read_csv, read_parquet
from .voc import VocWriter, read_voc_folder
from .yolo import YoloWriter, read_yolo_folder
from .yolo_seg import YoloSegWriter

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


def _in_folder(name: str, write: WriteRecords, beside: str | None = None) -> MakeWriter:
    return partial(_records_writer, name, write, beside)


def _at_path(write: WriteRecords) -> MakeWriter:
    return partial(_records_writer, "", write, None)


def _records_writer(
    name: str, write: WriteRecords, beside: str | None, output: Path | str, _categories: list[Category]
) -> RecordsWriter:
    return RecordsWriter(below(output, name) if name else output, write, beside)


# Of masks, into a folder.
WRITERS: dict[str, MakeWriter] = {
    "coco": _in_folder(coco.INSTANCES, write_coco),
    "png": PngWriter,
    "idmap": IdMapWriter,
    "ndjson": _in_folder(ndjson.INSTANCES, write_ndjson),
    "yolo-seg": YoloSegWriter,
    "labelme": LabelmeWriter,
    "voc": VocWriter,
    "labelstudio": _in_folder("labelstudio.json", write_tasks, ".xml"),
    "cvat": _in_folder("cvat.xml", write_cvat),
    "cutout": CutoutWriter,
    "crop": CropWriter,
}
# Those that need nothing but the records of a run, so that they can be made of any results.
PICTURES = frozenset(name for name, make in WRITERS.items() if isinstance(make, type) and issubclass(make, ImageWriter))
RECORD_FORMATS = tuple(name for name in WRITERS if name not in PICTURES)
# For which annotations need `polygons`.
POLYGON_FORMATS = frozenset({"yolo-seg", "labelme", "labelstudio", "cvat"})
# Of boxes, to the path that people give.
BOX_WRITERS: dict[str, MakeWriter] = {
    "coco": _at_path(write_coco),
    "results": _at_path(write_results),
    "yolo": YoloWriter,
    "ndjson": _at_path(write_ndjson),
}
