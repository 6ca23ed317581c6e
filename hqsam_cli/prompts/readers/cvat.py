"""Exports in the format "CVAT for images 1.1", one XML file, as prompts."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np

from ...configs import DEFAULT_MAX_PIXELS
from ...formats.values import integer, number_or_none, read_numbers
from ...records import MaskCrop
from ..boxes import rotated_box
from ..prompt_file import PromptFile, Shape


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
            shape = _read_shape(element, *(integer(n) or 0 for n in size))
            if shape is None:
                where = f"{element.tag} {place} of {image.get('name')}"
                file.skip("shapes that are not boxes, polygons or masks, skipped", where, key)
            else:
                (box, mask), own_id, label = shape, f"{key} shape {place}", element.get("label") or "object"
                group = None if element.get("group_id") == "0" else element.get("group_id")
                file.add(key, own_id, label, box=box, box_format="xyxy", segmentation=mask, group=group)
    return True


def _read_shape(element: ElementTree.Element, width: int, height: int) -> Shape | None:
    """Box and segmentation; None if it has no area."""

    def numbers(*names: str) -> list[float] | None:
        return read_numbers([element.get(name) for name in names], len(names))

    if element.tag == "box" and (corners := numbers("xtl", "ytl", "xbr", "ybr")):
        x0, y0, x1, y1 = corners
        turn = number_or_none(element.get("rotation")) or 0
        return rotated_box((x0, y0, x1, y1), turn, ((x0 + x1) / 2, (y0 + y1) / 2)), None
    if element.tag == "polygon":
        texts = re.split("[;,]", element.get("points") or "")
        points = read_numbers(texts, len(texts))
        if points is not None and len(points) >= 6 and len(points) % 2 == 0:
            return None, [points]
    if element.tag == "mask" and (place := numbers("left", "top", "width", "height")):
        x, y, columns, rows = (int(n) for n in place)
        mask = _read_mask(element.get("rle") or "", (x, y, columns, rows), width, height)
        if mask is not None:
            x, y, w, h = mask.tight_box()
            return (x, y, x + w, y + h), mask.rle
    return None


def _read_mask(rle: str, place: tuple[int, int, int, int], width: int, height: int) -> MaskCrop | None:
    """A mask from row-major run lengths, background first, within x, y, width, height; None if invalid."""
    x, y, columns, rows = place
    texts = rle.split(",")
    runs = read_numbers(texts, len(texts))
    inside = 0 <= x <= x + columns <= width and 0 <= y <= y + rows <= height
    if runs is None or not inside or min(runs) < 0 or not sum(runs) == rows * columns <= DEFAULT_MAX_PIXELS:
        return None
    values = np.arange(len(runs)) % 2 == 1
    bits = np.repeat(values, np.array(runs, np.int64)).reshape(rows, columns)
    return MaskCrop(bits, x, y, width, height) if bits.any() else None
