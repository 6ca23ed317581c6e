"""Exports of Label Studio, JSON or JSON-MIN, as prompts."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote

from ...formats.labelstudio import LOCAL_FILES
from ...formats.values import integer, number_or_none, read_numbers
from ...io.images import READ_SUFFIXES
from ...io.names import plain_name
from ...records import Box
from ..boxes import rotated_box
from ..prompt_file import PromptFile

OBJECT = re.compile(r"annotation (-?\d+)")  # what the parts of an object say in their `meta`
UPLOAD = re.compile(r".*/data/upload/\d+/[0-9a-f]{8}-")  # before the name of a file that somebody uploaded
LABELS = ("rectanglelabels", "polygonlabels", "labels")


def read_tasks(document: Any, file: PromptFile) -> bool:
    """Rectangles and polygons of tasks; people's annotation counts, and where there is none the prediction."""
    if not isinstance(document, list) or not any(isinstance(task, dict) and _regions(task) for task in document):
        return False
    file.numbered = False
    for number, task in enumerate(document, 1):
        found = _regions(task) if isinstance(task, dict) else None
        if found is None:
            file.lose("entries that are no tasks, left out", f"entry {number}")
            continue
        key = f"task {task.get('id', number)}"
        if found.others:
            file.remark("tasks with several annotations, of which the first counts", key)
        if found.predicted:
            file.remark("tasks that nobody annotated, whose predictions count", key)
        if not found.said:
            file.unread.add(key)
        shapes = [(place, region, _read_region(region)) for place, region in enumerate(found.regions, 1)]
        upright = [_size(region) for _, region, shape in shapes if shape and not region.get("image_rotation")]
        file.add_image(key, _image(task), key, upright[-1] if upright else (None, None))
        for place, region, shape in shapes:
            if shape is not None:
                mark = OBJECT.fullmatch(_first(_meta(region).get("text")))
                box, polygon = shape
                lists = (region["value"][name] for name in LABELS if name in region["value"])
                file.add(
                    key,
                    box=box,
                    box_format="xyxy",
                    segmentation=polygon,
                    annotation_id=mark[1] if mark else f"{key} region {place}",
                    category_name=_first(next(lists, None)) or "object",
                    score=region.get("score"),
                    group=mark and mark[1],
                )
            elif _has_shape(region):
                file.skip("regions that are no rectangles or polygons, left out", f"region {place} of {key}", key)
    return True


class _Regions(NamedTuple):
    """What is said of a task: its regions, whether they are predictions, whether there are more of people, and whether
    anything is said at all."""

    regions: list[dict[str, Any]]
    predicted: bool = False
    others: bool = False
    said: bool = True


def _regions(task: dict[str, Any]) -> _Regions | None:
    """The regions of a task; None of what is none."""
    if isinstance(task.get("data"), dict):
        drawn = [a for a in _dicts(task.get("annotations")) if not a.get("was_cancelled")]
        chosen = next(iter(drawn or _dicts(task.get("predictions"))), {})
        return _Regions(_dicts(chosen.get("result")), bool(chosen) and not drawn, len(drawn) > 1, bool(chosen))
    # JSON-MIN: results by the name of their control, values without a frame.
    lists = [region for value in task.values() for region in _dicts(value) if "original_width" in region]
    return _Regions([{**region, "value": region} for region in lists]) if lists else None


def _read_region(region: dict[str, Any]) -> tuple[Box | None, list[list[float]] | None] | None:
    """Corners or a polygon in pixels; None of what is neither a rectangle nor a polygon."""
    value = region.get("value")
    width, height = map(integer, _size(region))
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


def _size(region: dict[str, Any]) -> tuple[object, object]:
    return region.get("original_width"), region.get("original_height")


def _has_shape(region: dict[str, Any]) -> bool:
    """Whether a result is drawn on the image, and is no text, choice or relation."""
    value = region.get("value")
    return isinstance(value, dict) and not {"x", "points", "rle", "vertices"}.isdisjoint(value)


def _image(task: dict[str, Any]) -> str | None:
    """The image of a task, as whoever imported it called it."""
    data = task["data"] if isinstance(task.get("data"), dict) else task
    values = [data.get("file_name"), *data.values()]
    for value in (value for value in values if isinstance(value, str)):
        name = unquote(value.partition(LOCAL_FILES)[2]) or UPLOAD.sub("", value)
        if PurePosixPath(plain_name(name)).suffix.lower() in READ_SUFFIXES:
            return name
    return None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _meta(region: dict[str, Any]) -> dict[str, Any]:
    return region["meta"] if isinstance(region.get("meta"), dict) else {}


def _first(value: Any) -> str:
    """A text, or the first of a list of them."""
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, str) else ""
