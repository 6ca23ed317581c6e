"""Predictions of Kaggle competitions as prompts: a CSV with the boxes of an image in one cell."""

from __future__ import annotations

from collections.abc import Sequence

from ...formats.values import number_or_none, read_numbers
from ..boxes import MOST
from ..prompt_file import PromptFile
from .box_table import table_rows

IMAGES, BOXES = ("image_id", "imageid", "id"), "predictionstring"
NO_FINDING = ["0", "0", "1", "1"]  # the box of images without objects, as VinBigData has it


def read_predictions(content: bytes, file: PromptFile) -> bool:
    """Read score, x, y, width, height of each box, or class, score and corners, whichever most rows can be.

    Raises:
        ValueError: they can be neither, or both.
    """
    head, *rows = table_rows(content) or [[]]
    columns = [name.strip().lower() for name in head]
    named = next((name for name in IMAGES if name in columns), None)
    if named is None or BOXES not in columns:
        return False
    entries = [dict(zip(columns, row, strict=False)) for row in rows if any(row)]
    found = [(entry[named], entry.get(BOXES, "?").split()) for entry in entries]  # a row without a cell is damaged
    cells = [cell for _, cell in found if cell]
    fives, sixes = (sum(_groups(cell, count) is not None for cell in cells) >= MOST * len(cells) for count in (5, 6))
    if cells and fives == sixes:
        raise ValueError(
            f"a PredictionString whose rows can be {'both' if fives else 'neither'} score, x, y, width, height of each "
            f"box {'and' if fives else 'nor'} class, score and corners; pass a table with a row per box"
        )
    file.numbered, count = False, 6 if sixes else 5
    file.box_format = "xyxy" if sixes else "xywh"
    for number, (name, cell) in enumerate(found, 1):
        key = name.strip()
        file.add_image(key, key, f"row {number}", kind="path_stem")
        groups = _groups(cell, count)
        if groups is None:
            file.skip("rows of another kind than most, skipped", f"row {number}", key)
        for place, group in enumerate(groups or (), 1):
            *label, score, x, y, c, d = group
            if [x, y, c, d] != NO_FINDING:
                index = number_or_none(label[0]) if label else None
                class_name = label[0] if label and index is None else None
                where = f"row {number} box {place}"
                file.add(key, where, class_name, category=index, box=[x, y, c, d], score=score)
    return True


def _groups(cell: Sequence[str], count: int) -> list[list[str]] | None:
    """The boxes of a cell, if they can be groups of that many: with a score up to 1, and an area."""
    groups = [list(cell[place : place + count]) for place in range(0, len(cell), count)]
    found = [read_numbers(group[-5:], 5) if len(group) == count else None for group in groups]
    known = [own for own in found if own is not None and 0 <= own[0] <= 1 and min(own) >= 0]
    valid = sum(c > x and d > y if count == 6 else min(c, d) > 0 for _, x, y, c, d in known)
    return groups if valid == len(groups) else None
