"""Regions of VIA (VGG Image Annotator), of all versions."""

from __future__ import annotations

from typing import Any

from ...formats.segmentation import enclosing_box
from ...formats.values import UNNAMED, JsonObject, dict_or_empty, read_numbers
from ..prompt_file import PromptFile
from ..shapes import Shape, add_shape, ellipse, point, polygon

NAMES = ("label", "class", "name", "category", "type")  # of the attribute with the class, else the first


def add_region(file: PromptFile, key: str, number: int, kind: str, numbers: list[Any], label: str) -> None:
    """Add a region, or note that it is of another kind."""
    shape, own_id = _shape(kind, read_numbers(numbers, len(numbers))), f"region {number}"
    others = "regions that are not boxes, circles, ellipses, polygons or points"
    add_shape(file, key, own_id, label, shape, others, where=f"{own_id} of {key}")


def _shape(kind: str, numbers: list[float] | None) -> Shape | None:
    """The shape of a kind, in pixels and radians; None if it is another kind or has no area."""
    match kind, numbers or []:
        case "rect", [x, y, w, h]:
            return Shape((x, y, x + w, y + h))
        case "extremes", [_, _, _, _, *_] as points:
            return Shape(enclosing_box(points))
        case "circle", [x, y, r]:
            return ellipse(x, y, r, r)
        case "ellipse", [x, y, rx, ry, *turn]:
            return ellipse(x, y, rx, ry, *turn[:1])
        case "polygon", [_, _, _, _, _, _, *_] as points:
            return polygon([points])
        case "point", [x, y]:
            return point(x, y)
    return None


def class_name(attributes: JsonObject, options: JsonObject) -> str:
    """The class among the attributes of a region: that of a likely name, else the first."""
    for name in sorted(attributes, key=lambda name: name.lower() not in NAMES):
        value = attributes[name]
        chosen = next((key for key, own in value.items() if own), "") if isinstance(value, dict) else str(value)
        if chosen:
            return str(dict_or_empty(dict_or_empty(options.get(name)).get("options")).get(chosen) or chosen)
    return UNNAMED
