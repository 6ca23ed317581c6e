"""Exports in the format "CVAT for images 1.1", one XML file, as prompts."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np

from ...formats.values import UNNAMED, number_or_none, numbers_of, read_numbers
from ..boxes import Size, rotated_box
from ..prompt_file import PromptFile
from ..run_lengths import expand
from ..shapes import Shape, add_shape, placed, polygon


def read_cvat(root: ElementTree.Element, file: PromptFile) -> bool:
    """Read boxes, polygons and masks; polygons with equal label and group are one object.

    Raises:
        ValueError: it is an export of a video; the message has a remedy.
    """
    if root.tag != "annotations":
        return False
    if root.find("track") is not None:
        raise ValueError("CVAT for video; export it as CVAT for images 1.1")
    file.numbered = False
    for number, image in enumerate(root.iter("image")):
        key = f"image {image.get('id', number)}"
        size = image.get("width"), image.get("height")
        file.add_image(key, image.get("name"), key, size)
        for place, element in enumerate((element for element in image if element.tag != "tag"), 1):
            shape = _read_shape(element, file.size_of(key))
            own_id, label = f"{key} shape {place}", element.get("label") or UNNAMED
            group = None if element.get("group_id") == "0" else element.get("group_id")
            where = f"{element.tag} {place} of {image.get('name')}"
            others = "shapes that are not boxes, polygons or masks"
            add_shape(file, key, own_id, label, shape, others, where=where, group=group)
    return True


def _read_shape(element: ElementTree.Element, size: Size | None) -> Shape | None:
    """The shape of an element; None if it is of another kind or damaged."""
    if element.tag == "box" and (corners := numbers_of(element.attrib, ("xtl", "ytl", "xbr", "ybr"))):
        x0, y0, x1, y1 = corners
        turn = number_or_none(element.get("rotation")) or 0
        return Shape(rotated_box((x0, y0, x1, y1), turn))
    if element.tag == "polygon":
        texts = re.split("[;,]", element.get("points") or "")
        points = read_numbers(texts, len(texts))
        if points is not None and len(points) >= 6 and len(points) % 2 == 0:
            return polygon([points])
    place = numbers_of(element.attrib, ("left", "top", "width", "height")) if element.tag == "mask" else None
    texts = (element.get("rle") or "").split(",")
    runs = read_numbers(texts, len(texts))
    if place and runs and size is not None:
        x, y, columns, rows = (int(n) for n in place)
        bits = expand(np.arange(len(runs)) % 2 == 1, [int(n) for n in runs], (columns, rows))
        return None if bits is None else placed(bits, x, y, size)
    return None
