"""Pascal VOC's XML: a file an image, with a box an object."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from .label_writer import LabelWriter
from .run_records import RunRecords
from .xml_text import xml_bytes

CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VocWriter(LabelWriter):
    """`voc/<path of the image without its suffix>.xml`: the tight box of each mask that has one.

    Corners are pixels, counted from 1 and inside the box, as the VOC development kit has them.
    """

    suffix = ".xml"

    def __init__(self, output: Path, run: RunRecords) -> None:
        super().__init__(output / "voc", run)

    def label(self, record: dict[str, Any], path: Path) -> bytes:
        """See `LabelWriter`."""
        name = PurePosixPath(record["file_name"])
        root = ElementTree.Element("annotation")
        size = {"width": record["width"], "height": record["height"], "depth": 3}
        head = {"folder": name.parent.name, "filename": name.name, "path": self.run.path_of(record["file_name"])}
        _add(root, {**head, "size": size, "segmented": 0})
        for annotation in record["annotations"]:
            x, y, w, h = (int(n) for n in annotation["bbox"])
            if w > 0:
                box = dict(zip(CORNERS, (x + 1, y + 1, x + w, y + h), strict=True))
                own = {"name": self.names[annotation["category_id"]], "pose": "Unspecified"}
                _add(root, {"object": {**own, "truncated": 0, "difficult": 0, "bndbox": box}})
        ElementTree.indent(root)
        return xml_bytes(root)


def _add(element: ElementTree.Element, values: dict[str, Any]) -> None:
    """Add a child for each value, and children of it for a dict."""
    for tag, value in values.items():
        child = ElementTree.SubElement(element, tag)
        if isinstance(value, dict):
            _add(child, value)
        else:
            child.text = str(value)
