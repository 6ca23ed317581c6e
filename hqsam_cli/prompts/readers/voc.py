"""Pascal VOC XML, one file per image, as prompts."""

from __future__ import annotations

from xml.etree import ElementTree

from ...formats.segmentation import enclosing_box
from ...formats.values import read_numbers
from ...formats.voc import CORNERS
from ..prompt_file import PromptFile


def read_voc(root: ElementTree.Element, file: PromptFile) -> bool:
    """Read boxes of objects."""
    if root.tag != "annotation":
        return False
    file.numbered = False
    key = file.add_label_image((root.findtext("size/width"), root.findtext("size/height")))
    for number, item in enumerate(root.iter("object"), 1):
        corners = read_numbers([item.findtext(f"bndbox/{corner}") for corner in CORNERS], 4)
        box = None if corners is None else enclosing_box(corners)
        label = (item.findtext("name") or "object").strip()
        file.add(key, f"object {number}", label, box=box, box_format="xyxy")
    return True
