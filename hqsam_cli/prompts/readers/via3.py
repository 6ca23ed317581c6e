"""Projects of VIA (VGG Image Annotator) 3 as prompts."""

from __future__ import annotations

from typing import Any

from ...formats.values import dict_or_empty, list_or_empty
from ..prompt_file import PromptFile
from .via_region import add_region, class_name

KINDS = {1: "point", 2: "rect", 3: "circle", 4: "ellipse", 7: "polygon", 8: "extremes"}


def read_via3(document: Any, file: PromptFile) -> bool:
    """Read the regions of `read_via`, and rectangles by their extreme points."""
    parts = [dict_or_empty(document).get(name) for name in ("view", "file", "metadata")]
    if not all(isinstance(part, dict) for part in parts):
        return False
    views, files, metadata = map(dict_or_empty, parts)
    file.numbered = False
    for key, view in views.items():
        listed = list_or_empty(dict_or_empty(view).get("fid_list"))
        first = dict_or_empty(files.get(str(listed[0]) if listed else ""))
        file.add_image(key, first.get("fname"), f"view {key}")
    attributes = {
        key: dict_or_empty(own) for key, own in dict_or_empty(dict_or_empty(document).get("attribute")).items()
    }
    names = {key: str(own.get("aname")) for key, own in attributes.items()}
    options = {names[key]: own for key, own in attributes.items()}
    for number, entry in enumerate(map(dict_or_empty, metadata.values()), 1):
        place = list_or_empty(entry.get("xy"))
        if not place:
            continue  # about the image, or the time in a video
        values = {names.get(key, key): value for key, value in dict_or_empty(entry.get("av")).items()}
        kind = KINDS.get(place[0], "") if not entry.get("z") and isinstance(place[0], int) else ""
        add_region(file, str(entry.get("vid")), number, kind, place[1:], class_name(values, options))
    return True
