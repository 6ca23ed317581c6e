"""YOLO label files: a text file an image, a line an object, in normalized coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..io.atomic import atomic_file
from .label_writer import LabelWriter
from .run_records import RunRecords

CLASSES = "classes.txt"
LABELS = "labels"  # of a data set of ultralytics, beside `images`
DECIMALS = 8  # less than a thousandth of a pixel of the largest image


class YoloWriter(LabelWriter):
    """A folder of labels and `classes.txt`, written when a run ends.

    A line is class, center and size, the five columns that training takes, and with `confidence` the score; the class
    is the place of the category.
    """

    suffix = ".txt"
    taken = frozenset({CLASSES})

    def __init__(self, path: Path, run: RunRecords, *, confidence: bool = False) -> None:
        super().__init__(path, run)
        self.confidence = confidence

    def label(self, record: dict[str, Any], path: Path) -> bytes:
        """See `LabelWriter`."""
        size = record["width"], record["height"]
        lines = (_line(a, self.classes[a["category_id"]], *size, self.confidence) for a in record["annotations"])
        return "".join(lines).encode()

    def close(self) -> None:
        """See `Writer`."""
        write_classes(self.path / CLASSES, self.run)
        super().close()


def write_classes(path: Path, run: RunRecords) -> None:
    """The names of the classes, a line each."""
    with atomic_file(path) as file:
        file.write("".join(f"{category['name']}\n" for category in run.categories).encode())


def _line(annotation: dict[str, Any], number: int, width: int, height: int, confidence: bool) -> str:
    x, y, w, h = annotation["bbox"]
    shares = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
    score = f" {annotation['score']:g}" if confidence else ""
    return f"{number} {' '.join(f'{share:.{DECIMALS}f}' for share in shares)}{score}\n"
