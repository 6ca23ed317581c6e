"""Pascal VOC's XML: a file an image, with a box an object; read as prompts."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .label_folder import label_image, read_label
from .prompt_file import Contents, FileImage, Notes, note
from .values import Identifier, integer, number_or_none

CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc_folder(folder: Path, paths: list[Path], notes: Notes) -> Contents:
    """Boxes of the objects. An XML that declares entities, which VOC has none of, is refused."""
    images: dict[Identifier, FileImage] = {}
    annotations: list[dict[str, Any]] = []
    odd = []
    for path in paths:
        content = read_label(path, notes)
        if content is None:
            continue
        try:
            if b"<!ENTITY" in content:
                raise ElementTree.ParseError
            root = ElementTree.fromstring(content)
        except (ElementTree.ParseError, ValueError, LookupError):
            odd.append(path.name)
            continue
        width, height = integer(root.findtext("size/width")), integer(root.findtext("size/height"))
        image = label_image(folder, path, (width, height) if width and height else None)
        images[image.key] = image
        for number, item in enumerate(root.iter("object"), 1):
            x0, y0, x1, y1 = (number_or_none(item.findtext(f"bndbox/{corner}")) for corner in CORNERS)
            box = None if x0 is None or y0 is None or x1 is None or y1 is None else [x0, y0, x1 - x0, y1 - y0]
            name = (item.findtext("name") or "object").strip()
            annotations.append(
                {"image_id": image.key, "id": f"{image.key} object {number}", "bbox": box, "category": name}
            )
    note(notes.lost, "files that are no XML of VOC, left out", odd)
    return Contents(images, annotations)
