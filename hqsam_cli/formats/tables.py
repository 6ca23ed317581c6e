"""Tables with a box a row, as CSV and as Parquet; read as prompts."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from .prompt_file import Contents, Notes, read_images
from .values import number_or_none, text_of

# What columns are called; the first names are those of the documents.
FILE = ("file", "file_name", "filename", "image", "image_path", "path")
CORNERS = (("x0", "y0", "x1", "y1"), ("xmin", "ymin", "xmax", "ymax"), ("x1", "y1", "x2", "y2"))
LABEL = ("label", "class", "class_name", "category", "name")
SCORE = ("score", "confidence", "conf")
BARE = ("file", "x0", "y0", "x1", "y1", "label", "score")  # the columns of a table without a head
DELIMITERS = ",;\t"
PARQUET = b"PAR1"


def read_csv(content: bytes, notes: Notes) -> Contents | None:
    """Boxes of a CSV, with a head or with the columns of `BARE`; None of what is none.

    Raises:
        ValueError: a table, but not of boxes.
    """
    text = text_of(content)
    first = text.lstrip().partition("\n")[0]
    delimiter = max(DELIMITERS, key=first.count)
    if first.startswith(("{", "[", "<")) or delimiter not in first:
        return None
    try:
        head, *rows = csv.reader(io.StringIO(text.lstrip()), delimiter=delimiter)
    except csv.Error:
        return None
    columns = [name.strip().lower() for name in head]
    if len(head) > 4 and all(not n.strip() or number_or_none(n) is not None for n in head[1:5]):
        columns, rows = list(BARE[: len(head)]), [head, *rows]
    return _contents(columns, (dict(zip(columns, row, strict=False)) for row in rows if any(row)), notes)


def read_parquet(content: bytes, notes: Notes) -> Contents | None:
    """Boxes of a Parquet file; None of what is none.

    Raises:
        ValueError: pyarrow is not installed, or the table is not of boxes.
    """
    if not content.startswith(PARQUET):
        return None
    if find_spec("pyarrow") is None:
        raise ValueError("Parquet, which needs pyarrow; pip install 'hqsam-cli[parquet]'")
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(io.BytesIO(content))
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"Parquet that cannot be read ({error})") from None
    columns = [name.strip().lower() for name in table.column_names]
    return _contents(columns, table.rename_columns(columns).to_pylist(), notes)


def _contents(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], notes: Notes) -> Contents | None:
    """Boxes of rows by column; None where there is neither a file nor a corner.

    A row whose corners are all empty says that its image has no box.
    """
    file = next((name for name in FILE if name in columns), None)
    corners = next((names for names in CORNERS if set(names) <= set(columns)), None)
    if file is None and corners is None:
        return None
    if file is None or corners is None:
        raise ValueError(f"a table without the columns file, x0, y0, x1, y1; it has {', '.join(columns)}")
    label, score = (next((name for name in names if name in columns), "") for names in (LABEL, SCORE))
    images: dict[str, tuple[Any, Any, str]] = {}
    annotations = []
    for number, row in enumerate(rows, 1):
        name = str(row.get(file) or "").strip()
        images.setdefault(name, (name, {**row, "file_name": name, "id": None}, f"row {number}"))
        box = [row.get(corner) for corner in corners]
        if not all(value is None or value == "" for value in box):
            category = row.get(label)
            annotations.append(
                {
                    "image_id": name,
                    "bbox": box,
                    "category": None if category in (None, "") else str(category).strip(),
                    "score": row.get(score) if row.get(score) != "" else None,
                }
            )
    return Contents(read_images(list(images.values()), notes), annotations, box_format="xyxy")
