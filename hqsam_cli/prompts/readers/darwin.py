"""Darwin JSON 2.0 of V7 as prompts, one file per image."""

from __future__ import annotations

from typing import Any

from ...formats.values import dict_or_empty, integer, list_or_empty, number_or_none, numbers_of
from ..boxes import Size
from ..prompt_file import PromptFile
from ..run_lengths import expand
from ..shapes import Shape, ellipse, placed, point, polygon, ring_of


def read_darwin(document: Any, file: PromptFile) -> bool:
    """Read boxes, polygons, ellipses, masks and key points.

    Raises:
        ValueError: it has several images.
    """
    item, annotations = (dict_or_empty(document).get(name) for name in ("item", "annotations"))
    if not isinstance(item, dict) or not isinstance(annotations, list):
        return False
    slots = list_or_empty(item.get("slots"))
    if len(slots) > 1:
        raise ValueError("Darwin JSON of an item with several slots; export an item per image")
    slot, path = dict_or_empty(slots[0] if slots else None), str(item.get("path") or "").strip("/")
    name = f"{path}/{item['name']}" if path and item.get("name") else item.get("name")
    file.numbered = False
    key = file.add_label_image((slot.get("width"), slot.get("height")), name)
    listed, size = list(map(dict_or_empty, annotations)), file.size_of(key)
    masks = _masks(listed, size)
    for number, annotation in enumerate(listed, 1):
        if "tag" in annotation or "raster_layer" in annotation:
            continue  # of the whole image, or the pixels of all masks
        shape = masks.get(str(annotation.get("id"))) or _shape(annotation, size)
        if shape is None:
            what = "annotations that are not boxes, polygons, ellipses, masks or key points, skipped"
            file.skip(what, f"annotation {number}", key)
        else:
            label = str(annotation.get("name") or "object")
            file.add(key, f"annotation {number}", label, box_format="xyxy", **shape._asdict())
    return True


def _shape(annotation: dict[str, Any], size: Size | None) -> Shape | None:
    """The shape of an annotation that is no mask; polygons come with their bounding box."""
    drawn, oval = (dict_or_empty(annotation.get(name)) for name in ("polygon", "ellipse"))
    rings = [ring_of(path) for path in list_or_empty(drawn.get("paths", [drawn.get("path")]))]
    if any(rings) and None not in rings:
        return polygon([ring for ring in rings if ring], size)
    if (box := numbers_of(annotation.get("bounding_box"), "xywh")) and not drawn:
        return Shape((box[0], box[1], box[0] + box[2], box[1] + box[3]))
    center, radii = (numbers_of(oval.get(name), "xy") for name in ("center", "radius"))
    if center and radii:
        (x, y), (rx, ry) = center, radii
        return ellipse(x, y, rx, ry, number_or_none(oval.get("angle")) or 0)
    xy = numbers_of(annotation.get("keypoint"), "xy")
    return point(*xy) if xy else None


def _masks(annotations: list[dict[str, Any]], size: Size | None) -> dict[str, Shape | None]:
    """The masks by the ids of their annotations, from the raster layer: values and their run lengths, row by row."""
    layer = dict_or_empty(next((own["raster_layer"] for own in annotations if "raster_layer" in own), None))
    coded = [integer(n, 2**31) for n in list_or_empty(layer.get("dense_rle"))]
    known = [-1 if n is None else n for n in coded]
    pixels = None if size is None or len(known) % 2 else expand(known[::2], known[1::2], size)
    if pixels is None or size is None:
        return {}
    numbers = dict_or_empty(layer.get("mask_annotation_ids_mapping"))
    return {key: placed(pixels == integer(number), 0, 0, size) for key, number in numbers.items()}
