"""CVAT for images 1.1: one XML of polygons, which CVAT imports as annotations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from ..io.atomic import atomic_file
from ..records import Annotation
from .coco import RunRecords
from .xml_text import xml_bytes


def write_cvat(path: Path, run: RunRecords) -> None:
    """Write one polygon per mask part; parts of an object share a group id, its 1-based index in the image."""
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
            image.extend(_polygons(record.annotations, names))
            file.write(xml_bytes(image))
        file.write(b"</annotations>\n")


def _polygons(annotations: list[Annotation], names: dict[int, str]) -> Iterator[ElementTree.Element]:
    for group, annotation in enumerate(annotations, 1):
        parts = annotation["polygons"]["parts"]
        for part in parts:
            points = ";".join(f"{x:.2f},{y:.2f}" for x, y in zip(part[::2], part[1::2], strict=True))
            same = {"label": names[annotation["category_id"]], "source": "auto", "occluded": "0", "z_order": "0"}
            grouped = {"group_id": str(group)} if len(parts) > 1 else {}
            yield ElementTree.Element("polygon", {**same, "points": points, **grouped})
