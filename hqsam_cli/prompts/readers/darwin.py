"""Darwin JSON 2.0 of V7 as prompts, one file per image."""

from __future__ import annotations

from typing import Any

from ...formats.values import UNNAMED, JsonObject, dict_or_empty, list_or_empty, number_or_none, numbers_of
from ..boxes import Size
from ..prompt_file import PromptFile
from ..run_lengths import decode_raster
from ..shapes import Shape, add_shape, ellipse, placed, point, polygon, ring_of


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
    layers = [own["raster_layer"] for own in listed if "raster_layer" in own]
    masks = decode_raster(layers[0], size) if layers and size is not None else {}
    for number, annotation in enumerate(listed, 1):
        if "tag" in annotation or "raster_layer" in annotation:
            continue  # of the whole image, or the pixels of all masks
        own_mask = masks.get(str(annotation.get("id")))
        shape = _shape(annotation, size) if own_mask is None or size is None else placed(own_mask, 0, 0, size)
        label = str(annotation.get("name") or UNNAMED)
        others = "annotations that are not boxes, polygons, ellipses, masks or key points"
        add_shape(file, key, f"annotation {number}", label, shape, others)
    return True


def _shape(annotation: JsonObject, size: Size | None) -> Shape | None:
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
