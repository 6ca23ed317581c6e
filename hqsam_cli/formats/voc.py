"""Pascal VOC's XML: a file an image, with a box an object; read as prompts."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from .label_folder import label_image, read_label
from .prompt_file import Contents, FileImage, Notes, note
from .values import Identifier, integer, number_or_none, text_of

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
        root = _root(content)
        if root is None:
            odd.append(path.name)
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
    return Contents(images, annotations, unread=len(odd))


def _root(content: bytes) -> ElementTree.Element | None:
    """The annotation of a file, its tags without namespaces; None of what is none."""
    if b"<!ENTITY" in content:
        return None
    declared = re.match(rb"<\?xml[^>]*encoding=[\"']([\w.-]+)", content)
    root = None
    for text in (content, _decoded(content, declared[1].decode() if declared else None)):
        with suppress(ElementTree.ParseError, ValueError, LookupError):
            root = ElementTree.fromstring(text)
            break
    if root is None:
        return None
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root if root.tag == "annotation" else None


def _decoded(content: bytes, encoding: str | None) -> str:
    """The text of a file without its declaration, in an encoding that the parser does not know."""
    try:
        text = text_of(content) if encoding is None else content.decode(encoding, "replace")
    except LookupError:
        text = text_of(content)
    return re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
