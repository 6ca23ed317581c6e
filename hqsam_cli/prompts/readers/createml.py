"""Create ML as prompts: a list of images with boxes, given by their center."""

from __future__ import annotations

from typing import Any

from ...formats.values import UNNAMED, dict_or_empty, first_of, list_or_empty, numbers_of
from ..prompt_file import PromptFile

IMAGES, LISTS = ("image", "imagefilename"), ("annotations", "annotation")


def read_createml(document: Any, file: PromptFile) -> bool:
    """Read boxes in pixels."""
    entries = [dict_or_empty(own) for own in list_or_empty(document)]
    found = [(first_of(own, IMAGES), first_of(own, LISTS)) for own in entries]
    items = [dict_or_empty(item) for _, listed in found for item in list_or_empty(listed)]
    named = any(isinstance(name, str) and isinstance(listed, list) for name, listed in found)
    if not named or (items and not any("coordinates" in item for item in items)):
        return False
    file.numbered = False
    for number, (name, listed) in enumerate(found, 1):
        key = f"entry {number}"
        if not isinstance(listed, list):
            file.skip("entries that are not images with annotations, skipped", key)
            continue
        file.add_image(key, name, key)
        for place, item in enumerate(map(dict_or_empty, listed), 1):
            box = numbers_of(item.get("coordinates"), ("x", "y", "width", "height"))
            if box is not None:
                x, y, w, h = box
                box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
            label = str(item.get("label") or UNNAMED)
            file.add(key, f"annotation {place}", label, box=box, box_format="xyxy")
    return True
