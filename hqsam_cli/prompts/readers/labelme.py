"""labelme JSON, one file per image, as prompts."""

from __future__ import annotations

import math
from typing import Any

from ...formats.segmentation import enclosing_box
from ...formats.values import JsonObject, dict_or_empty, identifier, list_or_empty, read_numbers
from ..boxes import Size
from ..prompt_file import PromptFile
from ..shapes import Shape, add_shape, base64_bytes, bitmap, ellipse, point, polygon


def read_labelme(document: Any, file: PromptFile) -> bool:
    """Read rectangles, polygons, circles, masks and points; polygons of equal label and `group_id` are one object."""
    shapes = document.get("shapes") if isinstance(document, dict) else None
    if not isinstance(shapes, list) or (
        shapes and not any(isinstance(own, dict) and "points" in own for own in shapes)
    ):
        return False
    file.numbered = False
    key = file.add_label_image((document.get("imageWidth"), document.get("imageHeight")))
    for number, item in enumerate(map(dict_or_empty, shapes), 1):
        shape, own_id = _read_shape(item, file.size_of(key)), f"shape {number}"
        label, group = str(item.get("label") or "object"), identifier(item.get("group_id"))
        others = "shapes that are not rectangles, polygons, circles, masks or points"
        add_shape(file, key, own_id, label, shape, others, group=group)
    return True


def _read_shape(item: JsonObject, size: Size | None) -> Shape | None:
    """The shape of an entry; None if it is of another kind or damaged."""
    pairs = [read_numbers(pair, 2) for pair in list_or_empty(item.get("points"))]
    numbers = [n for pair in pairs for n in pair or ()]
    match item.get("shape_type") or "polygon", [] if None in pairs else numbers:
        case "rectangle", [_, _, _, _, *_]:
            return Shape(enclosing_box(numbers))
        case "polygon" | "oriented_rectangle", [_, _, _, _, _, _, *_]:
            return polygon([numbers])
        case "circle", [x, y, *edge] if len(edge) == 2:
            radius = math.dist((x, y), edge)
            return ellipse(x, y, radius, radius)
        case "mask", [_, _, _, _] if size is not None:
            left, top, _, _ = enclosing_box(numbers)
            return bitmap(base64_bytes(item.get("mask")), int(left), int(top), size)
        case "point", [x, y]:
            return point(x, y)
    return None
