"""Pascal VOC XML, one file per image, as prompts."""

from __future__ import annotations

import math
from xml.etree import ElementTree

from ...formats.segmentation import enclosing_box
from ...formats.values import number_or_none, read_numbers
from ...formats.voc import CORNERS
from ...records import Box
from ..boxes import rotated_box
from ..prompt_file import PromptFile

TURNED = ("cx", "cy", "w", "h", "angle")  # in radians, of roLabelImg
QUADRANGLE = [
    f"{axis}_{corner}" for corner in ("left_top", "right_top", "right_bottom", "left_bottom") for axis in "xy"
]


def read_voc(root: ElementTree.Element, file: PromptFile) -> bool:
    """Read boxes of objects, rotated clockwise about their centers if they have an attribute `rotation`, as in CVAT.

    Integer corners are 1-based inclusive pixel indices, as in the VOC development kit; if any is a fraction, all are
    positions. Turned boxes, of roLabelImg and DIOR-R, are read as their enclosing box.
    """
    if root.tag != "annotation":
        return False
    file.numbered = False
    key = file.add_label_image((root.findtext("size/width"), root.findtext("size/height")))
    objects = list(root.iter("object"))
    found = [read_numbers([item.findtext(f"bndbox/{corner}") for corner in CORNERS], 4) for item in objects]
    first = 1 if all(n % 1 == 0 for numbers in found for n in numbers or ()) else 0
    for number, (item, numbers) in enumerate(zip(objects, found, strict=True), 1):
        box = _turned_box(item)
        if numbers is not None:
            x0, y0, x1, y1 = enclosing_box(numbers)
            attributes = {own.findtext("name"): own.findtext("value") for own in item.iter("attribute")}
            box = rotated_box((x0 - first, y0 - first, x1, y1), number_or_none(attributes.get("rotation")) or 0)
        label = (item.findtext("name") or "object").strip()
        file.add(key, f"object {number}", label, box=box, box_format="xyxy")
    return True


def _turned_box(item: ElementTree.Element) -> Box | None:
    """The box that encloses the `robndbox` of an object, if it has one."""
    turned, corners = (
        read_numbers([item.findtext(f"robndbox/{name}") for name in names], len(names))
        for names in (TURNED, QUADRANGLE)
    )
    if turned is not None:
        x, y, w, h, angle = turned
        return rotated_box((x - w / 2, y - h / 2, x + w / 2, y + h / 2), math.degrees(angle))
    return None if corners is None else enclosing_box(corners)
