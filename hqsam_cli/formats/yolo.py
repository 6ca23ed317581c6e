"""YOLO label files: one text file per image, one line per object, in normalized coordinates."""

from __future__ import annotations

from pathlib import Path

from ..records import Annotation, Category, ImageRecord
from .coco import RunRecords
from .label_writer import LabelWriter

CLASSES = "classes.txt"
LABELS = "labels"  # in an ultralytics dataset, next to `images`
DECIMALS = 8  # less than a thousandth of a pixel of the largest image


class YoloWriter(LabelWriter):
    """A folder of label files and `classes.txt`, written at the end of a run.

    A line is `class x_center y_center width height`, as used for training, and the score if `confidence` is set. The
    class is the index of the category.
    """

    suffix = ".txt"
    taken = frozenset({CLASSES})

    def __init__(self, folder: Path | str, categories: list[Category], *, confidence: bool = False) -> None:
        super().__init__(folder, categories)
        self.confidence = confidence

    def label(self, record: ImageRecord, place: str) -> bytes:
        """See `LabelWriter`."""
        assert record.size is not None
        lines = [_line(a, self.classes[a["category_id"]], *record.size, self.confidence) for a in record.annotations]
        return "".join(lines).encode()

    def close(self, run: RunRecords) -> None:
        """See `LabelWriter`."""
        self.folder.put({CLASSES: class_lines(run)})
        super().close(run)


def class_lines(run: RunRecords) -> bytes:
    """The class names, one per line."""
    return "".join(f"{category['name']}\n" for category in run.categories).encode()


def _line(annotation: Annotation, number: int, width: int, height: int, confidence: bool) -> str:
    x, y, w, h = annotation["bbox"]
    shares = ((x + w / 2) / width, (y + h / 2) / height, w / width, h / height)
    score = f" {annotation['score']:g}" if confidence else ""
    return f"{number} {' '.join(f'{share:.{DECIMALS}f}' for share in shares)}{score}\n"
