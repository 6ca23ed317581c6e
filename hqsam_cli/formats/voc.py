"""Pascal VOC XML: one file per image, one box per object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from xml.etree import ElementTree

from ..records import ImageRecord
from .label_writer import LabelWriter
from .xml_text import xml_bytes

CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VocWriter(LabelWriter):
    """`voc/<path of the image without its suffix>.xml`: the tight box of each mask that is not empty.

    Corners are 1-based inclusive pixel indices, as in the VOC development kit.
    """

    name = "voc"
    suffix = ".xml"

    def label(self, record: ImageRecord, place: str) -> bytes:
        """See `LabelWriter`."""
        name = PurePosixPath(record.file_name)
        root = ElementTree.Element("annotation")
        assert record.size is not None
        size = {"width": record.size[0], "height": record.size[1], "depth": 3}
        head = {"folder": name.parent.name, "filename": name.name, "path": record.path}
        _add(root, {**head, "size": size, "segmented": 0})
        for annotation in record.annotations:
            x, y, w, h = (int(n) for n in annotation["bbox"])
            if w > 0:
                box = dict(zip(CORNERS, (x + 1, y + 1, x + w, y + h), strict=True))
                own = {"name": self.names[annotation["category_id"]], "pose": "Unspecified"}
                _add(root, {"object": {**own, "truncated": 0, "difficult": 0, "bndbox": box}})
        ElementTree.indent(root)
        return xml_bytes(root)


def _add(element: ElementTree.Element, values: Mapping[str, object]) -> None:
    """Add a child for each value, and children of it for a dict."""
    for tag, value in values.items():
        child = ElementTree.SubElement(element, tag)
        if isinstance(value, dict):
            _add(child, value)
        else:
            child.text = str(value)
