"""NDJSON exports of Labelbox as prompts."""

from __future__ import annotations

from typing import Any

from ...formats.values import JsonObject, dict_or_empty, list_or_empty, numbers_of
from ..prompt_file import PromptFile
from ..shapes import Shape, add_shape, point, polygon, ring_of

NAMES = ("external_id", "global_key", "row_data")  # of the image, best first


def read_labelbox(document: Any, file: PromptFile) -> bool:
    """Read boxes, polygons and points of all projects and labels, from lines or a list of them."""
    rows = [dict_or_empty(row) for row in (document if isinstance(document, list) else [document])]
    if not any("data_row" in row and "projects" in row for row in rows):
        return False
    file.numbered = False
    for number, row in enumerate(rows, 1):
        data, media = dict_or_empty(row.get("data_row")), dict_or_empty(row.get("media_attributes"))
        key = f"line {number}"
        if not data:
            file.skip("lines that are not data rows, skipped", key)
            continue
        name = next((data[name] for name in NAMES if data.get(name)), None)
        file.add_image(key, name, key, (media.get("width"), media.get("height")))
        projects = map(dict_or_empty, dict_or_empty(row.get("projects")).values())
        labels = [list_or_empty(project.get("labels")) for project in projects]
        if any(len(own) > 1 for own in labels):
            file.remark("data rows with several labels in a project, of which the first counts", key)
        parts = [dict_or_empty(dict_or_empty(own[0]).get("annotations")) for own in labels if own]
        if not any(isinstance(part.get("objects"), list) for part in parts):
            file.lose("data rows without labels of an image, skipped", key, key)
        objects = [own for part in parts for own in list_or_empty(part.get("objects"))]
        for place, item in enumerate(map(dict_or_empty, objects), 1):
            own_id, others = f"object {place}", f"objects of the kind {item.get('annotation_kind')}"
            label = str(item.get("name") or item.get("value") or "object")
            add_shape(file, key, own_id, label, _shape(item), others, where=f"{own_id} of {key}")
    return True


def _shape(item: JsonObject) -> Shape | None:
    if box := numbers_of(item.get("bounding_box"), ("left", "top", "width", "height")):
        x, y, w, h = box
        return Shape((x, y, x + w, y + h))
    if ring := ring_of(item.get("polygon")):
        return polygon([ring])
    xy = numbers_of(item.get("point"), "xy")
    return point(*xy) if xy else None
