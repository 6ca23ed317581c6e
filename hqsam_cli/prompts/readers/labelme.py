"""Folders of labelme JSON, one file per image, as prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...formats.segmentation import enclosing_box
from ...formats.values import identifier, read_numbers, text_of
from ..label_folder import add_label_image, label_contents
from ..prompt_file import PromptFile, Shape


def read_labelme_folder(folder: Path, paths: list[Path], file: PromptFile) -> None:
    """Read rectangles and polygons; polygons with equal label and `group_id` are one object."""
    file.numbered = False
    for path, content in label_contents(paths, file):
        try:
            document = json.loads(text_of(content))
            shapes = document["shapes"]
        except (ValueError, KeyError, TypeError, RecursionError):
            shapes = None
        if not isinstance(shapes, list):
            file.skip("JSON files without shapes, skipped", path.name)
            continue
        key = add_label_image(file, folder, path, (document.get("imageWidth"), document.get("imageHeight")))
        for number, shape in enumerate(shapes, 1):
            found = _read_shape(shape)
            if found is None:
                what = "shapes that are not rectangles or polygons, skipped"
                file.skip(what, f"shape {number} of {path.name}", key)
            else:
                (box, polygon), own_id, group = found, f"{key} shape {number}", identifier(shape.get("group_id"))
                label = str(shape.get("label") or "object")
                file.add(key, own_id, label, box=box, box_format="xyxy", segmentation=polygon, group=group)


def _read_shape(shape: Any) -> Shape | None:
    """The box of a rectangle, given by two opposite corners, or a polygon; None if it has no area."""
    points = shape.get("points") if isinstance(shape, dict) else None
    if not isinstance(points, list) or not all(isinstance(point, list) and len(point) == 2 for point in points):
        return None
    numbers = read_numbers([n for point in points for n in point], 2 * len(points))
    kind = shape.get("shape_type") or "polygon"
    if numbers is None or kind not in ("rectangle", "polygon") or len(points) < (2 if kind == "rectangle" else 3):
        return None
    return (enclosing_box(numbers), None) if kind == "rectangle" else (None, [numbers])
