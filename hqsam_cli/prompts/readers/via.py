"""VIA (VGG Image Annotator) 1 and 2 as prompts: exported annotations, and projects."""

from __future__ import annotations

from typing import Any

from ...formats.values import JsonObject, dict_or_empty, list_or_empty
from ..prompt_file import PromptFile
from .via_region import add_region, class_name

FIELDS = {
    "rect": ("x", "y", "width", "height"),
    "circle": ("cx", "cy", "r"),
    "ellipse": ("cx", "cy", "rx", "ry", "theta"),
    "point": ("cx", "cy"),
}


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
        if not isinstance(regions, dict | list):
            file.lose("images without a list of regions, skipped", key, key)
        listed = regions.values() if isinstance(regions, dict) else list_or_empty(regions)
        for number, region in enumerate(map(dict_or_empty, listed), 1):
            label = class_name(dict_or_empty(region.get("region_attributes")), options)
            add_region(file, key, number, *_region(dict_or_empty(region.get("shape_attributes"))), label)
    return True


def _region(drawn: JsonObject) -> tuple[str, list[Any]]:
    """Kind and numbers of a region."""
    kind = str(drawn.get("name"))
    if kind == "polygon":
        columns = (list_or_empty(drawn.get(f"all_points_{axis}")) for axis in "xy")
        return kind, [n for point in zip(*columns, strict=False) for n in point]
    return kind, [drawn[name] for name in FIELDS.get(kind, ()) if name in drawn]
