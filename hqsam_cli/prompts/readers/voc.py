"""Folders of Pascal VOC XML, one file per image, as prompts."""

from __future__ import annotations

from pathlib import Path

from ...formats.segmentation import enclosing_box
from ...formats.values import read_numbers
from ...formats.voc import CORNERS
from ...formats.xml_text import read_xml
from ..label_folder import add_label_image, label_contents
from ..prompt_file import PromptFile

ROOT, CVAT = "annotation", "annotations"  # tags of the root element


def read_voc_folder(folder: Path, paths: list[Path], file: PromptFile) -> None:
    """Read boxes of objects. XML with entity declarations, which VOC does not use, is rejected."""
    file.numbered = False
    for path, content in label_contents(paths, file):
        root = read_xml(content)
        if root is None or root.tag != ROOT:
            what = "files that are not VOC XML, skipped"
            if root is not None and root.tag == CVAT:
                what = "CVAT XML, skipped; pass the file instead of the folder"
            file.skip(what, path.name)
            continue
        key = add_label_image(file, folder, path, (root.findtext("size/width"), root.findtext("size/height")))
        for number, item in enumerate(root.iter("object"), 1):
            corners = read_numbers([item.findtext(f"bndbox/{corner}") for corner in CORNERS], 4)
            box = None if corners is None else enclosing_box(corners)
            label = (item.findtext("name") or "object").strip()
            file.add(key, f"{key} object {number}", label, box=box, box_format="xyxy")
