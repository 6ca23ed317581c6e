"""Label Studio exports, JSON or JSON-MIN, as prompts."""

from __future__ import annotations

import math
import re
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from ...formats.labelstudio import LOCAL_FILES
from ...formats.values import UNNAMED, JsonObject, dict_or_empty, dicts_of, integer, number_or_none, numbers_of
from ...io.images import READ_SUFFIXES
from ...io.names import plain_name
from ..boxes import rotated_box
from ..prompt_file import PromptFile
from ..run_lengths import decode_brush
from ..shapes import Shape, add_shape, ellipse, placed, point, polygon, ring_of

OBJECT = re.compile(r"annotation (-?\d+)")  # in `meta` of the parts of an object
UPLOAD = re.compile(r".*/data/upload/\d+/[0-9a-f]{8}-")  # prefix of uploaded files
LABELS = "labels"  # at the end of the key of the classes, as in `brushlabels`
SHAPES = {"x", "points", "rle", "vertices"}  # keys of drawn regions


def read_tasks(document: Any, file: PromptFile) -> bool:
    """Read shapes and brushes of tasks, or of one: annotations, or predictions if there are none."""
    if isinstance(document, dict) and isinstance(document.get("data"), dict):
        document = [document]
    if not isinstance(document, list) or not any(isinstance(task, dict) and _regions(task) for task in document):
        return False
    file.numbered = False
    for number, task in enumerate(document, 1):
        found = _regions(task) if isinstance(task, dict) else None
        if found is None:
            file.lose("entries that are not tasks, skipped", f"entry {number}")
            continue
        key = f"task {task.get('id', number)}"
        regions, remark = found
        if remark is not None:
            file.remark(remark, key)
        shapes = [(place, region, _read_region(region)) for place, region in enumerate(regions or (), 1)]
        upright = [region for _, region, shape in shapes if shape and not region.get("image_rotation")]
        size = (upright[-1]["original_width"], upright[-1]["original_height"]) if upright else (None, None)
        file.add_image(key, _image(task), key, size)
        if regions is None:
            file.unread.add(key)
        for place, region, shape in shapes:
            value = dict_or_empty(region.get("value"))
            if shape is None and SHAPES.isdisjoint(value):
                continue  # text, choices or relations
            mark = OBJECT.fullmatch(_first(dict_or_empty(region.get("meta")).get("text")))
            own_id, group = (mark[1], mark[1]) if mark else (f"{key} region {place}", None)
            label = _first(next((own for name, own in value.items() if name.endswith(LABELS)), None)) or UNNAMED
            others = "regions that are not rectangles, polygons, ellipses, brushes or key points"
            score, where = region.get("score"), f"region {place} of {key}"
            add_shape(file, key, own_id, label, shape, others, where=where, score=score, group=group)
    return True


def _regions(task: JsonObject) -> tuple[list[JsonObject] | None, str | None] | None:
    """The regions of a task (None if unlabeled) and a remark; None if it is not a task."""
    if isinstance(task.get("data"), dict):
        given = [a for name in ("annotations", "predictions") for a in dicts_of(task.get(name))]
        drawn = [a for a in dicts_of(task.get("annotations")) if not a.get("was_cancelled")]
        chosen = drawn or dicts_of(task.get("predictions"))
        if given and not any("result" in a for a in given):
            return None
        if not chosen:
            return None, None
        several = "tasks with several annotations, of which the first counts" if len(drawn) > 1 else None
        remark = several if drawn else "tasks that nobody annotated, whose predictions count"
        return dicts_of(chosen[0].get("result")), remark
    # JSON-MIN: results by control name, without a `value` wrapper.
    lists = [region for value in task.values() for region in dicts_of(value) if "original_width" in region]
    return ([{**region, "value": region} for region in lists], None) if lists else None


def _read_region(region: JsonObject) -> Shape | None:
    """The shape of a region, in percent of the image size or a brush; None if it is of another kind or damaged."""
    value = dict_or_empty(region.get("value"))
    width, height = (integer(region.get(f"original_{name}")) or 0 for name in ("width", "height"))
    if min(width, height) <= 0:
        return None

    def scaled(numbers: list[float]) -> list[float]:
        return [n * (height if place % 2 else width) / 100 for place, n in enumerate(numbers)]

    turn, corner = number_or_none(value.get("rotation")) or 0, numbers_of(value, "xy")
    if "rle" in value:
        bits = decode_brush(value["rle"], (width, height))
        return None if bits is None else placed(bits, 0, 0, (width, height))
    if ring := ring_of(value.get("points")):
        return polygon([scaled(ring)])
    if oval := numbers_of(value, ("x", "y", "radiusX", "radiusY")):
        x, y, rx, ry = scaled(oval)
        return ellipse(x, y, rx, ry, math.radians(turn))
    if box := numbers_of(value, ("x", "y", "width", "height")):
        x, y, w, h = scaled(box)
        return Shape(rotated_box((x, y, x + w, y + h), turn, (x, y)))
    return point(*scaled(corner)) if corner else None


def _image(task: JsonObject) -> str | None:
    """The image of a task, as named at import."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    for value in (value for value in (data.get("file_name"), *data.values()) if isinstance(value, str)):
        name = unquote(value.partition(LOCAL_FILES)[2]) or UPLOAD.sub("", value)
        if PurePosixPath(plain_name(name)).suffix.lower() in READ_SUFFIXES:
            return name
    return None


def _first(value: Any) -> str:
    """A string, or the first of a list of strings."""
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, str) else ""
