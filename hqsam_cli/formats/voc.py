"""Pascal VOC's XML: a file an image, with a box an object; read as prompts and written."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from ..io.copies import below
from ..records import Category, ImageRecord
from .label_folder import label_image, read_label
from .label_writer import LabelWriter
from .prompt_file import Contents, FileImage, Notes, note
from .values import Identifier, integer, number_or_none
from .xml_text import read_xml, xml_bytes

ROOT, CVAT = "annotation", "annotations"  # the tags of the whole
CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc_folder(folder: Path, paths: list[Path], notes: Notes) -> Contents:
    """Boxes of the objects. An XML that declares entities, which VOC has none of, is refused."""
    images: dict[Identifier, FileImage] = {}
    annotations: list[dict[str, Any]] = []
    odd: list[str] = []
    exports: list[str] = []
    for path in paths:
        content = read_label(path, notes)
        if content is None:
            continue
        root = read_xml(content)
        if root is None or root.tag != ROOT:
            (odd if root is None or root.tag != CVAT else exports).append(path.name)
            continue
        width, height = integer(root.findtext("size/width")), integer(root.findtext("size/height"))
        image = label_image(folder, path, (width, height) if width and height else None)
        images[image.key] = image
        for number, item in enumerate(root.iter("object"), 1):
            x0, y0, x1, y1 = (number_or_none(item.findtext(f"bndbox/{corner}")) for corner in CORNERS)
            box = None
            if x0 is not None and y0 is not None and x1 is not None and y1 is not None:
                box = [min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0)]
            name = (item.findtext("name") or "object").strip()
            annotations.append(
                {"image_id": image.key, "id": f"{image.key} object {number}", "bbox": box, "category": name}
            )
    note(notes.lost, "files that are no XML of VOC, left out", odd)
    note(notes.lost, "XML of CVAT, which is to be given itself rather than its folder, left out", exports)
    return Contents(images, annotations, numbered=False, unread=len(odd) + len(exports))


class VocWriter(LabelWriter):
    """`voc/<path of the image without its suffix>.xml`: the tight box of each mask that has one.

    Corners are pixels, counted from 1 and inside the box, as the VOC development kit has them.
    """

    suffix = ".xml"

    def __init__(self, output: Path | str, categories: list[Category]) -> None:
        super().__init__(below(output, "voc"), categories)

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


def _add(element: ElementTree.Element, values: dict[str, Any]) -> None:
    """Add a child for each value, and children of it for a dict."""
    for tag, value in values.items():
        child = ElementTree.SubElement(element, tag)
        if isinstance(value, dict):
            _add(child, value)
        else:
            child.text = str(value)
