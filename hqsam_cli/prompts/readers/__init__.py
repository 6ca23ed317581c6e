"""Formats that prompts are read from: a file a format, and an entry of one of these tables.

A reader fills a `PromptFile`. It returns whether the document, or the content of the file, is of its format; of
another it adds nothing. It raises a ValueError where that is plain, and the file of no use.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..prompt_file import PromptFile
from .box_table import read_csv, read_parquet
from .coco import read_instances, read_results
from .cvat import read_cvat
from .labelme import read_labelme_folder
from .labelstudio import read_tasks
from .ndjson import read_lines
from .voc import read_voc_folder
from .yolo import read_yolo_folder

# Of JSON documents.
READERS: dict[str, Callable[[Any, PromptFile], bool]] = {
    "NDJSON": read_lines,
    "COCO instances": read_instances,
    "COCO results": read_results,
    "Label Studio": read_tasks,
}
# Of the content of a file that is no JSON.
FILE_READERS: dict[str, Callable[[bytes, PromptFile], bool]] = {
    "CVAT": read_cvat,
    "Parquet": read_parquet,
    "CSV": read_csv,
}
# Of folders with a file an image, by the suffix of these files: what they are called, and what reads them.
FOLDER_READERS: dict[str, tuple[str, Callable[[Path, list[Path], PromptFile], None]]] = {
    ".txt": ("YOLO labels", read_yolo_folder),
    ".xml": ("Pascal VOC", read_voc_folder),
    ".json": ("labelme", read_labelme_folder),
}
