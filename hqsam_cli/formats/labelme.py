"""labelme's JSON: a file an image, with shapes; read as prompts and written."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..io.places import is_address
from .label_folder import label_image, read_label
from .label_writer import LabelWriter
from .parts import unite, xywh
from .prompt_file import Contents, FileImage, Notes, note
from .run_records import RunRecords
from .values import Identifier, identifier, integer, number_or_none, text_of

VERSION = "5.5.0"  # of the form of the files


def read_labelme_folder(folder: Path, paths: list[Path], notes: Notes) -> Contents:
    """Rectangles and polygons of the shapes; a rectangle is two opposite corners.

    Polygons of one label and one `group_id` are one object.
    """
    images: dict[Identifier, FileImage] = {}
    annotations: list[dict[str, Any]] = []
    odd, other, silent = [], [], []
    for path in paths:
        content = read_label(path, notes)
        if content is None:
            continue
        try:
            document = json.loads(text_of(content))
            shapes = document["shapes"]
        except (ValueError, KeyError, TypeError, RecursionError):
            shapes = None
        if not isinstance(shapes, list):
            odd.append(path.name)
            continue
        width, height = integer(document.get("imageWidth")), integer(document.get("imageHeight"))
        image = label_image(folder, path, (width, height) if width and height else None)
        images[image.key] = image
        own = []
        for number, shape in enumerate(shapes, 1):
            found = _read_shape(shape)
            if found is None:
                other.append(f"shape {number} of {path.name}")
            else:
                group = identifier(shape.get("group_id"))
                key = None if group is None else (found["category"], group)
                own.append((key, {"image_id": image.key, "id": f"{image.key} shape {number}", **found}))
        silent += [image.key] if len(own) < len(shapes) else []
        annotations += unite(own)
    note(notes.lost, "JSON files without shapes, left out", odd)
    note(notes.lost, "shapes that are no rectangles or polygons, left out", other)
    return Contents(images, annotations, numbered=False, unread=len(odd) + len(other), silent=silent)


def _read_shape(shape: Any) -> dict[str, Any] | None:
    """The fields of a COCO annotation; None of what has no area."""
    points = shape.get("points") if isinstance(shape, dict) else None
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        return None
    numbers = [number_or_none(n) for point in points for n in point]
    kind = shape.get("shape_type") or "polygon"
    if None in numbers or kind not in ("rectangle", "polygon") or len(points) < (2 if kind == "rectangle" else 3):
        return None
    known = [n for n in numbers if n is not None]
    label = {"bbox": xywh(known), "category": str(shape.get("label") or "object")}
    return label if kind == "rectangle" else {**label, "segmentation": [known]}


class LabelmeWriter(LabelWriter):
    """`labelme/<path of the image without its suffix>.json`: a polygon a part; parts of an object are a group."""

    suffix = ".json"

    def __init__(self, output: Path, run: RunRecords) -> None:
        super().__init__(output / "labelme", run)

    def label(self, record: dict[str, Any], path: Path) -> bytes:
        """See `LabelWriter`."""
        image = self.run.path_of(record["file_name"])
        document = {
            "version": VERSION,
            "flags": {},
            "shapes": [shape for annotation in record["annotations"] for shape in self._shapes(annotation)],
            "imagePath": image if is_address(image) else os.path.relpath(image, os.path.abspath(path.parent)),
            "imageData": None,
            "imageHeight": record["height"],
            "imageWidth": record["width"],
        }
        return json.dumps(document).encode("ascii")

    def _shapes(self, annotation: dict[str, Any]) -> list[dict[str, Any]]:
        parts = annotation["polygons"]["parts"]
        same = {
            "label": self.names[annotation["category_id"]],
            "score": annotation["score"],
            "group_id": annotation["id"] if len(parts) > 1 else None,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
        }
        corners = [zip(part[::2], part[1::2], strict=True) for part in parts]
        return [{**same, "points": [list(corner) for corner in part]} for part in corners]
