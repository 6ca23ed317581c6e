"""Tables with one box per row, CSV or Parquet, as prompts."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from ...formats.values import dicts_of, number_or_none, text_of
from ...io.images import READ_SUFFIXES
from ..prompt_file import NameKind, PromptFile

# Column names; the documented names are first.
FILE = ("file", "file_name", "filename", "image", "image_path", "path")
CORNERS = (
    ("x0", "y0", "x1", "y1"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x_min", "y_min", "x_max", "y_max"),
)
LABEL = ("label", "class", "class_name", "category", "name")
SCORE = ("score", "confidence", "conf")
BARE = ("file", "x0", "y0", "x1", "y1", "label", "score")  # the columns of a table without a header
DELIMITERS = ",;\t"
PARQUET = b"PAR1"


def read_csv(content: bytes, file: PromptFile) -> bool:
    """Read boxes of a CSV, with a header or with the columns of `BARE`; see `settle_sizes` for its numbers.

    Raises:
        ValueError: it is a table, but not of boxes.
    """
    head, *rows = table_rows(content) or [[]]
    columns = [name.strip().lower() for name in head]
    if 4 < len(head) <= len(BARE) and all(not n.strip() or number_or_none(n) is not None for n in head[1:5]):
        columns, rows = list(BARE[: len(head)]), [head, *rows]
        file.unsettled = file.given_format is None
    found = (dict(zip(columns, row, strict=False)) for row in rows if any(row))
    return _read_rows(columns, found, file)


def table_rows(content: bytes) -> list[list[str]]:
    """The rows of a CSV of two columns or more; empty if it is something else."""
    text = text_of(content).lstrip()
    first = text.partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    if first.startswith(("{", "[", "<")) or delimiter not in first:
        return []
    try:
        return list(csv.reader(io.StringIO(text), delimiter=delimiter))
    except csv.Error:
        return []


def read_parquet(content: bytes, file: PromptFile) -> bool:
    """Read boxes of a Parquet file.

    Raises:
        ValueError: pyarrow is not installed, or the table is not of boxes.
    """
    if not content.startswith(PARQUET):
        return False
    table = read_columns(content)
    columns = [name.strip().lower() for name in table.column_names]
    return _read_rows(columns, table.rename_columns(columns).to_pylist(), file)


def read_records(document: Any, file: PromptFile) -> bool:
    """Read boxes of a list of rows in JSON."""
    rows = [{str(name).strip().lower(): value for name, value in row.items()} for row in dicts_of(document)]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if not any({*names} <= {*columns} for names in CORNERS) or {*FILE}.isdisjoint(columns):
        return False
    return _read_rows(columns, rows, file)


def read_columns(content: bytes) -> Any:
    """The `pyarrow.Table` of a Parquet file, without the bytes of images.

    Raises:
        ValueError: pyarrow is not installed, or the file is damaged.
    """
    if find_spec("pyarrow") is None:
        raise ValueError("Parquet, which needs pyarrow; pip install 'hqsam-cli[parquet]'")
    import pyarrow
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(io.BytesIO(content))
        paths = (opened.schema.column(number).path for number in range(len(opened.schema)))
        return opened.read([path for path in paths if not path.endswith(".bytes")])
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"Parquet that cannot be read ({error})") from None


def _read_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], file: PromptFile) -> bool:
    """Read boxes from rows, if there is a column of files or corners.

    A row with only empty corners means that its image has no box.
    """
    named = next((name for name in FILE if name in columns), None)
    corners = next((names for names in CORNERS if set(names) <= set(columns)), None)
    if named is None and corners is None:
        return False
    if named is None or corners is None:
        raise ValueError(f"a table without the columns file, x0, y0, x1, y1; it has {', '.join(columns)}")
    label, score = (next((name for name in names if name in columns), "") for names in (LABEL, SCORE))
    file.box_format = "xywh" if file.unsettled else "xyxy"
    for number, row in enumerate(rows, 1):
        name = str(row.get(named) or "").strip()
        kind: NameKind = "name" if os.path.splitext(name)[1].lower() in READ_SUFFIXES else "path_stem"
        file.add_image(name, name, f"row {number}", (row.get("width"), row.get("height")), kind=kind)
        box = [row.get(corner) for corner in corners]
        if any(value not in (None, "") for value in box):
            category, confidence = (None if row.get(column) == "" else row.get(column) for column in (label, score))
            own = None if category is None else str(category).strip()
            file.add(name, None, own, box=box, score=confidence)
    return True
