"""Folders of Pascal VOC's XML, a file an image, as prompts."""

from __future__ import annotations

from pathlib import Path

from ...formats.segmentation import enclosing_box
from ...formats.values import read_numbers
from ...formats.voc import CORNERS
from ...formats.xml_text import read_xml
from ..label_folder import add_label_image, label_contents
from ..prompt_file import PromptFile

ROOT, CVAT = "annotation", "annotations"  # the tags of the whole


def read_voc_folder(folder: Path, paths: list[Path], file: PromptFile) -> None:
    """Boxes of the objects. An XML that declares entities, which VOC has none of, is refused."""
    file.numbered = False
    for path, content in label_contents(paths, file):
        root = read_xml(content)
        if root is None or root.tag != ROOT:
            what = "files that are no XML of VOC, left out"
            if root is not None and root.tag == CVAT:
                what = "XML of CVAT, which is to be given itself rather than its folder, left out"
            file.skip(what, path.name)
            continue
        key = add_label_image(file, folder, path, (root.findtext("size/width"), root.findtext("size/height")))
        for number, item in enumerate(root.iter("object"), 1):
            corners = read_numbers([item.findtext(f"bndbox/{corner}") for corner in CORNERS], 4)
            box = None if corners is None else enclosing_box(corners)
            label = (item.findtext("name") or "object").strip()
            file.add(key, f"{key} object {number}", label, box=box, box_format="xyxy")
