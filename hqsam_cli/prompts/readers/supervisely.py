"""Supervisely JSON as prompts, one file per image, named `<image>.json`."""

from __future__ import annotations

import zlib
from contextlib import suppress
from pathlib import PurePosixPath
from typing import Any

from ...configs import DEFAULT_MAX_PIXELS
from ...formats.segmentation import enclosing_box
from ...formats.values import JsonObject, dict_or_empty, list_or_empty, read_numbers
from ..boxes import Size
from ..prompt_file import PromptFile
from ..shapes import Shape, add_shape, base64_bytes, bitmap, point, polygon, ring_of


def read_supervisely(document: Any, file: PromptFile) -> bool:
    """Read rectangles, polygons, bitmaps and points."""
    size, objects = (dict_or_empty(document).get(name) for name in ("size", "objects"))
    if not isinstance(size, dict) or not isinstance(objects, list):
        return False
    file.numbered = False
    parts = PurePosixPath(file.label.removesuffix(".json")).parts  # ds/ann/a.jpg.json belongs to ds/img/a.jpg
    name = "/".join("img" if part == "ann" else part for part in parts)
    key = file.add_label_image((size.get("width"), size.get("height")), name if PurePosixPath(name).suffix else None)
    for number, item in enumerate(map(dict_or_empty, objects), 1):
        label, shape = str(item.get("classTitle") or "object"), _shape(item, file.size_of(key))
        others = "objects that are not rectangles, polygons, bitmaps or points"
        add_shape(file, key, f"object {number}", label, shape, others)
    return True


def _shape(item: JsonObject, size: Size | None) -> Shape | None:
    """The shape of an object; None if it is of another kind or damaged."""
    kind, points = item.get("geometryType"), dict_or_empty(item.get("points"))
    exterior = list_or_empty(points.get("exterior"))
    if kind == "bitmap" and size is not None:
        return _bitmap(dict_or_empty(item.get("bitmap")), size)
    if kind == "point" and (xy := read_numbers(next(iter(exterior), None), 2)):
        return point(*xy)
    rings = [[n for pair in exterior for n in read_numbers(pair, 2) or ()]] if kind == "rectangle" else []
    if kind == "polygon":
        rings = [ring_of(ring) or [] for ring in (exterior, *list_or_empty(points.get("interior")))]
    if not rings or min(map(len, rings)) < 4:
        return None
    x0, y0, x1, y1 = enclosing_box(rings[0])
    segmentation = polygon(rings, size).segmentation if kind == "polygon" else None
    return Shape((x0, y0, x1 + 1, y1 + 1), segmentation)  # points are pixels, and those of the edges are inside


def _bitmap(drawn: JsonObject, size: Size) -> Shape | None:
    """A PNG at its origin, compressed once more by zlib, or not."""
    origin, content = read_numbers(drawn.get("origin"), 2), base64_bytes(drawn.get("data"))
    with suppress(zlib.error):
        content = zlib.decompressobj().decompress(content, DEFAULT_MAX_PIXELS)
    return bitmap(content, int(origin[0]), int(origin[1]), size) if origin else None
