"""SA-1B as prompts: one file per image, with the masks of SAM and the points that they are made from."""

from __future__ import annotations

from typing import Any

from ...formats.values import dict_or_empty, list_or_empty
from ..prompt_file import PromptFile
from .coco import add_annotation, add_image


def read_sa1b(document: Any, file: PromptFile) -> bool:
    """Read boxes, masks and points."""
    image, annotations = (dict_or_empty(document).get(name) for name in ("image", "annotations"))
    if not isinstance(image, dict) or not isinstance(annotations, list):
        return False
    key = f"image {image.get('image_id')}"
    add_image(file, key, image, key)
    for item in map(dict_or_empty, annotations):
        points = [[*point, 1] for point in list_or_empty(item.get("point_coords")) if isinstance(point, list)]
        add_annotation(file, {**item, "points": points}, key)
    return True
