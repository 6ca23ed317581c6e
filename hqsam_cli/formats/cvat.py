"""CVAT for images 1.1, one XML: exports read as prompts, and polygons written, which CVAT imports as annotations."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from ..configs import DEFAULT_MAX_PIXELS
from ..io.atomic import atomic_file
from ..records import MaskCrop
from .parts import turned_box, unite, xywh
from .prompt_file import Contents, Notes, note, read_images
from .run_records import RunRecords
from .values import integer, number_or_none, read_numbers
from .voc import CVAT as ROOT
from .voc import ROOT as VOC
from .xml_text import read_xml, xml_bytes


def write_cvat(path: Path, run: RunRecords) -> None:
    """A polygon for each part of a mask; those of one object are a group, by their place in the image."""
    names = {category["id"]: str(category["name"]) for category in run.categories}
    meta = ElementTree.Element("meta")
    labels = ElementTree.SubElement(ElementTree.SubElement(meta, "task"), "labels")
    for name in names.values():
        label = ElementTree.SubElement(labels, "label")
        ElementTree.SubElement(label, "name").text = name
        ElementTree.SubElement(label, "attributes")
    with atomic_file(path) as file:
        file.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
        file.write(xml_bytes(meta))
        known = (record for record in run.records() if record["error"] is None)
        for number, record in enumerate(known):
            size = {"width": str(record["width"]), "height": str(record["height"])}
            image = ElementTree.Element("image", {"id": str(number), "name": record["file_name"], **size})
            image.extend(_polygons(record["annotations"], names))
            file.write(xml_bytes(image))
        file.write(b"</annotations>\n")


def _polygons(annotations: list[dict[str, Any]], names: dict[int, str]) -> Iterator[ElementTree.Element]:
    for group, annotation in enumerate(annotations, 1):
        parts = annotation["polygons"]["parts"]
        for part in parts:
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in zip(part[::2], part[1::2], strict=True))
            same = {"label": names[annotation["category_id"]], "source": "auto", "occluded": "0", "z_order": "0"}
            grouped = {"group_id": str(group)} if len(parts) > 1 else {}
            yield ElementTree.Element("polygon", {**same, "points": points, **grouped})


def read_cvat(content: bytes, notes: Notes) -> Contents | None:
    """Boxes, polygons and masks of an export "CVAT for images 1.1"; None of what is none.

    Polygons of one label and one group are one object.

    Raises:
        ValueError: another XML, with what to do.
    """
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return None
    root = read_xml(content)
    if root is None:
        raise ValueError("XML that is broken or declares entities; export it again")
    if root.tag == VOC:
        raise ValueError("one file of Pascal VOC; give the folder of such files")
    if root.tag != ROOT:
        raise ValueError("XML, but no CVAT; export it as CVAT for images 1.1")
    if root.find("track") is not None:
        raise ValueError("CVAT for video; export it as CVAT for images 1.1")
    items, annotations, other, silent = [], [], [], []
    for number, image in enumerate(root.iter("image")):
        key = f"image {image.get('id', number)}"
        size = {name: integer(image.get(name)) for name in ("width", "height")}
        items.append((key, {"file_name": image.get("name"), **size}, key))
        shapes = []
        for place, element in enumerate(element for element in image if element.tag != "tag"):
            shape = _read_shape(element, size["width"] or 0, size["height"] or 0)
            if shape is None:
                silent.append(key)
                other.append(f"{element.tag} {place + 1} of {image.get('name')}")
                continue
            group = element.get("group_id")
            label = element.get("label") or "object"
            own = {"image_id": key, "id": f"{key} shape {place + 1}", "category": label, **shape}
            shapes.append(((label, group) if group not in (None, "0") else None, own))
        annotations += unite(shapes)
    note(notes.lost, "shapes that are no boxes, polygons or masks, left out", other)
    return Contents(read_images(items, notes), annotations, numbered=False, unread=len(other), silent=silent)


def _read_shape(element: ElementTree.Element, width: int, height: int) -> dict[str, Any] | None:
    """Box and segmentation of a COCO annotation; None of what has no area."""

    def numbers(*names: str) -> list[float] | None:
        return read_numbers([element.get(name) for name in names], len(names))

    if element.tag == "box" and (corners := numbers("xtl", "ytl", "xbr", "ybr")):
        x0, y0, x1, y1 = corners
        turn = math.radians(number_or_none(element.get("rotation")) or 0)  # about the center
        cosine, sine = math.cos(turn), math.sin(turn)
        across = ((x1 - x0) * cosine, (x1 - x0) * sine)
        down = ((y0 - y1) * sine, (y1 - y0) * cosine)
        corner = ((x0 + x1 - across[0] - down[0]) / 2, (y0 + y1 - across[1] - down[1]) / 2)
        return {"bbox": turned_box(corner, across, down)}
    if element.tag == "polygon":
        texts = re.split("[;,]", element.get("points") or "")
        points = read_numbers(texts, len(texts))
        if points is not None and len(points) >= 6 and len(points) % 2 == 0:
            return {"bbox": xywh(points), "segmentation": [points]}
    if element.tag == "mask" and (place := numbers("left", "top", "width", "height")):
        x, y, columns, rows = (int(n) for n in place)
        mask = _read_mask(element.get("rle") or "", (x, y, columns, rows), width, height)
        if mask is not None:
            return {"bbox": [float(n) for n in mask.tight_box()], "segmentation": mask.rle}
    return None


def _read_mask(rle: str, place: tuple[int, int, int, int], width: int, height: int) -> MaskCrop | None:
    """A mask of run lengths along the rows of its place, x, y, width and height; None of what is none.

    The first run is of what is not set.
    """
    x, y, columns, rows = place
    texts = rle.split(",")
    runs = read_numbers(texts, len(texts))
    inside = 0 <= x <= x + columns <= width and 0 <= y <= y + rows <= height
    if (
        runs is None
        or not inside
        or min(runs) < 0
        or sum(runs) != rows * columns
        or rows * columns > DEFAULT_MAX_PIXELS
    ):
        return None
    values = np.arange(len(runs)) % 2 == 1
    bits = np.repeat(values, np.array(runs, np.int64)).reshape(rows, columns)
    return MaskCrop(bits, x, y, width, height) if bits.any() else None
