"""Label Studio exports, JSON or JSON-MIN, as prompts."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from ...formats.labelstudio import LOCAL_FILES
from ...formats.values import integer, number_or_none, read_numbers
from ...io.images import READ_SUFFIXES
from ...io.names import plain_name
from ..boxes import rotated_box
from ..prompt_file import PromptFile, Shape

OBJECT = re.compile(r"annotation (-?\d+)")  # in `meta` of the parts of an object
UPLOAD = re.compile(r".*/data/upload/\d+/[0-9a-f]{8}-")  # prefix of uploaded files
LABELS = ("rectanglelabels", "polygonlabels", "labels")
SHAPES = {"x", "points", "rle", "vertices"}  # keys of drawn regions, not text, choices or relations


def read_tasks(document: Any, file: PromptFile) -> bool:
    """Read rectangles and polygons of tasks: annotations, or predictions if there are none."""
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
            where, value = f"region {place} of {key}", region.get("value")
            if shape is not None:
                meta = region.get("meta")
                mark = OBJECT.fullmatch(_first(meta.get("text") if isinstance(meta, dict) else None))
                own_id, group = (mark[1], mark[1]) if mark else (f"{key} region {place}", None)
                box, polygon = shape
                label = _first(next((region["value"][name] for name in LABELS if name in region["value"]), None))
                file.add(
                    key,
                    own_id,
                    label or "object",
                    box=box,
                    box_format="xyxy",
                    segmentation=polygon,
                    score=region.get("score"),
                    group=group,
                )
            elif isinstance(value, dict) and not SHAPES.isdisjoint(value):
                file.skip("regions that are not rectangles or polygons, skipped", where, key)
    return True


def _regions(task: dict[str, Any]) -> tuple[list[dict[str, Any]] | None, str | None] | None:
    """The regions of a task (None if unlabeled) and a remark; None if it is not a task."""
    if isinstance(task.get("data"), dict):
        drawn = [a for a in _dicts(task.get("annotations")) if not a.get("was_cancelled")]
        chosen = drawn or _dicts(task.get("predictions"))
        if not chosen:
            return None, None
        several = "tasks with several annotations, of which the first counts" if len(drawn) > 1 else None
        remark = several if drawn else "tasks that nobody annotated, whose predictions count"
        return _dicts(chosen[0].get("result")), remark
    # JSON-MIN: results by control name, without a `value` wrapper.
    lists = [region for value in task.values() for region in _dicts(value) if "original_width" in region]
    return ([{**region, "value": region} for region in lists], None) if lists else None


def _read_region(region: dict[str, Any]) -> Shape | None:
    """A box or polygon in pixels; None if it is neither a rectangle nor a polygon."""
    value = region.get("value")
    width, height = (integer(region.get(f"original_{name}")) for name in ("width", "height"))
    if not isinstance(value, dict) or not width or not height:
        return None
    if "points" in value:
        pairs = value["points"] if isinstance(value["points"], list) else []
        percents = [n for pair in pairs for n in read_numbers(pair, 2) or ()]
        if len(pairs) < 3 or len(percents) != 2 * len(pairs):
            return None
        return None, [[n * (height if place % 2 else width) / 100 for place, n in enumerate(percents)]]
    numbers = read_numbers([value.get(name) for name in ("x", "y", "width", "height")], 4)
    if numbers is None:
        return None
    x, y, w, h = (n * side / 100 for n, side in zip(numbers, (width, height, width, height), strict=True))
    return rotated_box((x, y, x + w, y + h), number_or_none(value.get("rotation")) or 0, (x, y)), None


def _image(task: dict[str, Any]) -> str | None:
    """The image of a task, as named at import."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    for value in (value for value in (data.get("file_name"), *data.values()) if isinstance(value, str)):
        name = unquote(value.partition(LOCAL_FILES)[2]) or UPLOAD.sub("", value)
        if PurePosixPath(plain_name(name)).suffix.lower() in READ_SUFFIXES:
            return name
    return None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _first(value: Any) -> str:
    """A string, or the first of a list of strings."""
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, str) else ""
