"""labelme JSON, one file per image, as prompts."""

from __future__ import annotations

from typing import Any

from ...formats.segmentation import enclosing_box
from ...formats.values import identifier, read_numbers
from ..prompt_file import PromptFile, Shape


def read_labelme(document: Any, file: PromptFile) -> bool:
    """Read rectangles and polygons; polygons with equal label and `group_id` are one object."""
    shapes = document.get("shapes") if isinstance(document, dict) else None
    if not isinstance(shapes, list) or (
        shapes and not any(isinstance(own, dict) and "points" in own for own in shapes)
    ):
        return False
    file.numbered = False
    key = file.add_label_image((document.get("imageWidth"), document.get("imageHeight")))
    for number, shape in enumerate(shapes, 1):
        found, own_id = _read_shape(shape), f"shape {number}"
        if found is None:
            file.skip("shapes that are not rectangles or polygons, skipped", own_id, key)
        else:
            (box, polygon), group = found, identifier(shape.get("group_id"))
            label = str(shape.get("label") or "object")
            file.add(key, own_id, label, box=box, box_format="xyxy", segmentation=polygon, group=group)
    return True


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
