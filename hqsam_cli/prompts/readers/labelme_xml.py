"""LabelMe XML, of the web tool of MIT, as prompts: one file per image."""

from __future__ import annotations

from xml.etree import ElementTree

from ...formats.segmentation import enclosing_box
from ...formats.values import read_numbers
from ...formats.voc import CORNERS
from ..prompt_file import PromptFile
from ..shapes import Shape, add_shape, polygon, ring_of


def read_labelme_xml(root: ElementTree.Element, file: PromptFile) -> bool:
    """Read polygons, boxes, and the boxes of masks, whose pixels are in other files; deleted objects are not read."""
    parts = ("imagesize", "object/polygon", "object/segm")
    if root.tag != "annotation" or all(root.find(part) is None for part in parts):
        return False
    file.numbered = False
    key = file.add_label_image((root.findtext("imagesize/ncols"), root.findtext("imagesize/nrows")))
    for number, item in enumerate(root.iter("object"), 1):
        shape, own_id = _read_shape(item), f"object {number}"
        if (item.findtext("deleted") or "").strip() == "1":
            continue
        label = (item.findtext("name") or "").strip() or "object"
        add_shape(file, key, own_id, label, shape, "objects that are not polygons or masks")
    return True


def _read_shape(item: ElementTree.Element) -> Shape | None:
    """The shape of an object; None if it is of another kind or damaged."""
    if ring := ring_of([[point.findtext("x"), point.findtext("y")] for point in item.iterfind("polygon/pt")]):
        is_box = (item.findtext("type") or "").strip() == "bounding_box"
        return Shape(enclosing_box(ring)) if is_box else polygon([ring])
    corners = read_numbers([item.findtext(f"segm/box/{name}") for name in CORNERS], 4)
    return None if corners is None else Shape(enclosing_box(corners))
