"""What other programs read: a file a format, and a line of one of these tables.

To add an output format, write a file with a class like `png.PngWriter` (see `run_records.Writer`) and name it in
`WRITERS`. Formats that are read are in `prompts/readers/`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from . import coco, ndjson
from .coco import write_coco, write_results
from .cutouts import CropWriter, CutoutWriter
from .cvat import write_cvat
from .idmap import IdMapWriter
from .labelme import LabelmeWriter
from .labelstudio import write_tasks
from .ndjson import write_ndjson
from .png import PngWriter
from .run_records import RecordsWriter, RunRecords, Writer, WriteRecords
from .voc import VocWriter
from .yolo import YoloWriter
from .yolo_seg import YoloSegWriter

MakeWriter = Callable[[Path, RunRecords], Writer]


def _in_folder(name: str, write: WriteRecords, beside: str | None = None) -> MakeWriter:
    return partial(_records_writer, write, name, beside)


def _at_path(write: WriteRecords) -> MakeWriter:
    return partial(_records_writer, write, "", None)


def _records_writer(write: WriteRecords, name: str, beside: str | None, output: Path, run: RunRecords) -> RecordsWriter:
    return RecordsWriter(output / name, run, write, None if beside is None else output / beside)


# Of masks, into a folder.
WRITERS: dict[str, MakeWriter] = {
    "coco": _in_folder(coco.INSTANCES, write_coco),
    "png": PngWriter,
    "idmap": IdMapWriter,
    "ndjson": _in_folder(ndjson.INSTANCES, write_ndjson),
    "yolo-seg": YoloSegWriter,
    "labelme": LabelmeWriter,
    "voc": VocWriter,
    "labelstudio": _in_folder("labelstudio.json", write_tasks, "labelstudio.xml"),
    "cvat": _in_folder("cvat.xml", write_cvat),
    "cutout": CutoutWriter,
    "crop": CropWriter,
}
# Those that need nothing but the records of a run, so that they can be made of any results.
RECORD_FORMATS = tuple(name for name, make in WRITERS.items() if not getattr(make, "fills_folder", False))
# For which annotations need `polygons`.
POLYGON_FORMATS = frozenset({"yolo-seg", "labelme", "labelstudio", "cvat"})
# Of boxes, to the path that people give.
BOX_WRITERS: dict[str, MakeWriter] = {
    "coco": _at_path(write_coco),
    "results": _at_path(write_results),
    "yolo": YoloWriter,
    "ndjson": _at_path(write_ndjson),
}
