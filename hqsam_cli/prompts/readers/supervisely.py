"""Supervisely JSON as prompts, one file per image, named `<image>.json`."""

from __future__ import annotations

import zlib
from typing import Any

from ...configs import DEFAULT_MAX_PIXELS
from ...formats.segmentation import enclosing_box
from ...formats.values import dict_or_empty, list_or_empty, read_numbers
from ..boxes import Size
from ..prompt_file import PromptFile
from ..shapes import Shape, base64_bytes, bitmap, point, polygon, ring_of


def read_supervisely(document: Any, file: PromptFile) -> bool:
    """Read rectangles, polygons, bitmaps and points."""
    size, objects = (dict_or_empty(document).get(name) for name in ("size", "objects"))
    if not isinstance(size, dict) or not isinstance(objects, list):
        return False
    file.numbered = False
    key = file.add_label_image((size.get("width"), size.get("height")))
    for number, item in enumerate(map(dict_or_empty, objects), 1):
        shape, own_id = _shape(item, file.images[key].size), f"object {number}"
        if shape is None:
            file.skip("objects that are not rectangles, polygons, bitmaps or points, skipped", own_id, key)
        else:
            label = str(item.get("classTitle") or "object")
            file.add(key, own_id, label, box_format="xyxy", **shape._asdict())
    return True


def _shape(item: dict[str, Any], size: Size | None) -> Shape | None:
    """The shape of an object; its points are pixels, so that those of its right and lower edges are inside."""
    points, kind = dict_or_empty(item.get("points")), item.get("geometryType")
    exterior = list_or_empty(points.get("exterior"))
    if kind == "bitmap" and size is not None:
        drawn = dict_or_empty(item.get("bitmap"))
        corner, content = read_numbers(drawn.get("origin"), 2), base64_bytes(drawn.get("data"))
        try:
            content = zlib.decompressobj().decompress(content, DEFAULT_MAX_PIXELS)
        except zlib.error:
            pass  # a PNG as it is
        return bitmap(content, int(corner[0]), int(corner[1]), size) if corner else None
    if kind == "point" and len(exterior) == 1 and (xy := read_numbers(exterior[0], 2)):
        return point(*xy)
    if kind == "rectangle" and len(exterior) == 2:
        pairs = [read_numbers(pair, 2) for pair in exterior]
        corners = None if None in pairs else [n for pair in pairs if pair for n in pair]
    else:
        corners = ring_of(exterior) if kind == "polygon" else None
    if not corners:
        return None
    x0, y0, x1, y1 = enclosing_box(corners)
    holes = [ring_of(ring) for ring in list_or_empty(points.get("interior"))]
    drawn = None if kind == "rectangle" else polygon([corners, *(ring for ring in holes if ring)], size).segmentation
    return Shape((x0, y0, x1 + 1, y1 + 1), drawn)
