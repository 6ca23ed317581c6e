"""CVAT for images 1.1: one XML of polygons or rotated boxes, which CVAT imports as annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from ..io.atomic import atomic_file
from ..records import ImageRecord
from .coco import RunRecords
from .oriented import oriented_box
from .xml_text import xml_bytes


def write_cvat(path: Path, run: RunRecords) -> None:
    """Write one polygon per mask part; parts of an object share a group id, its 1-based index in the image."""
    _write(path, run, _polygons)


def write_rotated(path: Path, run: RunRecords) -> None:
    """Write the smallest rectangle around each mask, at any angle."""
    _write(path, run, _boxes)


def _write(
    path: Path, run: RunRecords, shapes: Callable[[ImageRecord, dict[int, str]], Iterator[ElementTree.Element]]
) -> None:
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
        done = (record for record in run.records() if record.failure is None)
        for number, record in enumerate(done):
            assert record.size is not None
            size = {"width": str(record.size[0]), "height": str(record.size[1])}
            image = ElementTree.Element("image", {"id": str(number), "name": record.file_name, **size})
            image.extend(shapes(record, names))
            file.write(xml_bytes(image))
        file.write(b"</annotations>\n")


def _polygons(record: ImageRecord, names: dict[int, str]) -> Iterator[ElementTree.Element]:
    for group, annotation in enumerate(record.annotations, 1):
        parts = annotation["polygons"]["parts"]
        for part in parts:
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in zip(part[::2], part[1::2], strict=True))
            grouped = {"group_id": str(group)} if len(parts) > 1 else {}
            yield _shape("polygon", names[annotation["category_id"]], points=points, **grouped)


def _boxes(record: ImageRecord, names: dict[int, str]) -> Iterator[ElementTree.Element]:
    assert record.size is not None
    for annotation in record.annotations:
        box = oriented_box(annotation["segmentation"], *record.size)
        if box is not None:
            (x, y), (w, h) = box.center, box.size
            corners = zip(("xtl", "ytl", "xbr", "ybr"), (x - w / 2, y - h / 2, x + w / 2, y + h / 2), strict=True)
            values = {name: f"{number:.2f}" for name, number in (*corners, ("rotation", box.degrees))}
            yield _shape("box", names[annotation["category_id"]], **values)


def _shape(tag: str, label: str, **values: str) -> ElementTree.Element:
    same = {"label": label, "source": "auto", "occluded": "0", "z_order": "0"}
    return ElementTree.Element(tag, {**same, **values})
