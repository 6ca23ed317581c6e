"""CSV files of tools and data sets as prompts, recognized by the names of their columns."""

from __future__ import annotations

from typing import NamedTuple

from ...configs import BoxFormat
from ...formats.values import is_set, number_or_none
from ..prompt_file import PromptFile
from .box_table import LABEL, table_rows


class NamedTable(NamedTuple):
    """A format by its columns, in lower case; called, it is its reader. Images are named with or without a suffix.

    Attributes:
        label: column of the class; by default one of those of CSV.
        box: columns of four numbers, or the one of a list of them.
        box_format: order and unit of the numbers.
        bare: all columns in their order, which the header may lack.
    """

    image: str
    box: tuple[str, ...]
    box_format: BoxFormat
    label: str = ""
    score: str = ""
    crowd: str = ""
    size: tuple[str, str] = ("width", "height")
    bare: tuple[str, ...] = ()

    def __call__(self, content: bytes, file: PromptFile) -> bool:
        """Read a row per box, or per image; a row without a box states that the image has none."""
        rows = table_rows(content)
        columns = [name.strip().lower() for name in rows[0]] if rows else []
        if {self.image, *self.box} <= {*columns}:
            rows = rows[1:]
        elif self.bare and self._is_bare(columns):
            columns = list(self.bare)
        else:
            return False
        file.numbered = False
        classes = self.label or next((name for name in LABEL if name in columns), "")
        for number, row in enumerate((dict(zip(columns, own, strict=False)) for own in rows if any(own)), 1):
            name, where = row.get(self.image, "").strip(), f"row {number}"
            file.add_image(name, name, where, (row.get(self.size[0]), row.get(self.size[1])), kind="path_stem")
            cells = [row.get(column, "").strip(" []()") for column in self.box]
            numbers = cells if len(cells) > 1 else cells[0].replace(",", " ").split()
            label, crowd = row.get(classes, "").strip() or None, is_set(row.get(self.crowd))
            if any(numbers):
                own, form = row.get(self.score) or None, self.box_format
                file.add(name, where, label, box=numbers, box_format=form, score=own, crowd=crowd)
        return True

    def _is_bare(self, cells: list[str]) -> bool:
        """Whether a row has numbers for boxes and sizes, and none for an image."""
        row = dict(zip(self.bare, cells, strict=False))
        numbers = [number_or_none(row.get(column)) for column in (*self.box, *self.size)]
        return len(cells) == len(self.bare) and None not in numbers and number_or_none(row[self.image]) is None


OPEN_IMAGES = NamedTable(
    "imageid", ("xmin", "ymin", "xmax", "ymax"), "xyxyn", label="labelname", score="confidence", crowd="isgroupof"
)
KAGGLE = NamedTable("image_id", ("bbox",), "xywh")
MAKESENSE_BOX, MAKESENSE_SIZE = ("bbox_x", "bbox_y", "bbox_width", "bbox_height"), ("image_width", "image_height")
MAKESENSE = NamedTable(
    "image_name", MAKESENSE_BOX, "xywh", label="label_name", size=MAKESENSE_SIZE,
    bare=("label_name", *MAKESENSE_BOX, "image_name", *MAKESENSE_SIZE),
)  # fmt: skip
