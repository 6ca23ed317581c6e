"""VIA (VGG Image Annotator) 1 and 2 as prompts: exported annotations, and projects."""

from __future__ import annotations

from typing import Any

from ...formats.segmentation import enclosing_box
from ...formats.values import dict_or_empty, list_or_empty, read_numbers
from ..prompt_file import PromptFile
from ..shapes import Shape, ellipse, polygon

CENTER = ("cx", "cy")
SIZES = {"rect": ("x", "y", "width", "height"), "circle": (*CENTER, "r"), "ellipse": (*CENTER, "rx", "ry", "theta")}
FIELDS = {**SIZES, "point": CENTER}
NAMES = ("label", "class", "name", "category", "type")  # of the attribute with the class, else the first


def read_via(document: Any, file: PromptFile) -> bool:
    """Read rectangles, circles, ellipses, polygons and points."""
    project = dict_or_empty(document)
    metadata = dict_or_empty(project.get("_via_img_metadata", document))
    if "_via_img_metadata" not in project and not any("regions" in dict_or_empty(own) for own in metadata.values()):
        return False
    file.numbered = False
    options = dict_or_empty(dict_or_empty(project.get("_via_attributes")).get("region"))
    for key, entry in metadata.items():
        regions = dict_or_empty(entry).get("regions")
        file.add_image(key, dict_or_empty(entry).get("filename"), key)
        if regions is None:
            file.unread.add(key)
        listed = regions.values() if isinstance(regions, dict) else list_or_empty(regions)
        for number, region in enumerate(map(dict_or_empty, listed), 1):
            label = class_name(dict_or_empty(region.get("region_attributes")), options)
            add_region(file, key, number, *_region(dict_or_empty(region.get("shape_attributes"))), label)
    return True


def _region(drawn: dict[str, Any]) -> tuple[str, list[Any]]:
    """Kind and numbers of a region."""
    kind = str(drawn.get("name"))
    if kind == "polygon":
        columns = (list_or_empty(drawn.get(f"all_points_{axis}")) for axis in "xy")
        return kind, [n for point in zip(*columns, strict=False) for n in point]
    return kind, [drawn[name] for name in FIELDS.get(kind, ()) if name in drawn]


def add_region(file: PromptFile, key: str, number: int, kind: str, numbers: list[Any], label: str) -> None:
    """Add a region, or note that it is of another kind."""
    shape, own_id = _shape(kind, read_numbers(numbers, len(numbers))), f"region {number}"
    if shape is None:
        file.skip(
            "regions that are not boxes, circles, ellipses, polygons or points, skipped", f"{own_id} of {key}", key
        )
    else:
        file.add(key, own_id, label, box_format="xyxy", **shape._asdict())


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
            return Shape(points=[[x, y, 1]])
    return None


def class_name(attributes: dict[str, Any], options: dict[str, Any]) -> str:
    """The class among the attributes of a region: that of a likely name, else the first."""
    for name in sorted(attributes, key=lambda name: name.lower() not in NAMES):
        value = attributes[name]
        chosen = next((key for key, own in value.items() if own), "") if isinstance(value, dict) else str(value)
        if chosen:
            return str(dict_or_empty(dict_or_empty(options.get(name)).get("options")).get(chosen) or chosen)
    return "object"
