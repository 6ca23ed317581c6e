"""Label Studio's tasks: exports read as prompts, and predictions written, which people correct."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote, unquote
from xml.etree import ElementTree

from .. import __version__
from ..io.atomic import atomic_file
from ..io.images import READ_SUFFIXES
from ..io.names import plain_name
from .parts import turned_box, unite, xywh
from .prompt_file import Contents, Notes, PromptFile, note, read_images
from .run_records import RunRecords
from .values import integer, number_or_none, read_numbers
from .xml_text import xml_bytes

LOCAL_FILES = "/data/local-files/?d="  # Label Studio serves what lies below LOCAL_FILES_DOCUMENT_ROOT there
FROM, TO = "label", "image"  # what the interface calls its labels and its image
OBJECT = re.compile(r"annotation (-?\d+)")  # what the parts of an object say in their `meta`
UPLOAD = re.compile(r".*/data/upload/\d+/[0-9a-f]{8}-")  # before the name of a file that somebody uploaded


def write_tasks(path: Path, run: RunRecords) -> None:
    """A task an image; and beside `path`, as XML, the labeling interface that has their labels."""
    names = {category["id"]: str(category["name"]) for category in run.categories}
    view = ElementTree.Element("View")
    ElementTree.SubElement(view, "Image", {"name": TO, "value": f"${TO}"})
    labels = ElementTree.SubElement(view, "PolygonLabels", {"name": FROM, "toName": TO})
    for name in names.values():
        ElementTree.SubElement(labels, "Label", {"value": name})
    ElementTree.indent(view)
    with atomic_file(path.with_suffix(".xml")) as file:
        file.write(xml_bytes(view))
    version = f"hqsam {run.info.get('version', __version__)} {run.info.get('model', '')}".rstrip()
    with atomic_file(path) as file:
        file.write(b"[\n")
        known = (record for record in run.records() if record["error"] is None)
        for number, record in enumerate(known):
            image = LOCAL_FILES + quote(run.path_of(record["file_name"]).lstrip("/"), errors="surrogateescape")
            prediction = {"model_version": version, "result": list(_results(record, names))}
            task = {"data": {TO: image, "file_name": record["file_name"]}, "predictions": [prediction]}
            file.write((b",\n" if number else b"") + json.dumps(task, separators=(",", ":")).encode("ascii"))
        file.write(b"\n]\n")


def _results(record: dict[str, Any], names: dict[int, str]) -> Iterator[dict[str, Any]]:
    """A polygon for each part of a mask, in percent of the image; `meta` says which object it is of."""
    width, height = record["width"], record["height"]
    for annotation in record["annotations"]:
        for number, part in enumerate(annotation["polygons"]["parts"], 1):
            corners = zip(part[::2], part[1::2], strict=True)
            points = [[round(100 * x / width, 6), round(100 * y / height, 6)] for x, y in corners]
            yield {
                "id": f"{annotation['id']}-{number}",
                "type": "polygonlabels",
                "from_name": FROM,
                "to_name": TO,
                "original_width": width,
                "original_height": height,
                "image_rotation": 0,
                "score": annotation["score"],
                "meta": {"text": [f"annotation {annotation['id']}"]},
                "value": {"points": points, "closed": True, "polygonlabels": [names[annotation["category_id"]]]},
            }


def read_tasks(document: Any, _listed: PromptFile | None, notes: Notes) -> Contents | None:
    """Rectangles and polygons of the tasks of an export, JSON or JSON-MIN; None of what is none.

    Of a task people's annotation counts, and where there is none its prediction.
    """
    if not isinstance(document, list) or not any(isinstance(task, dict) and _regions(task) for task in document):
        return None
    items, annotations, other = [], [], []
    several, predicted, odd, silent = [], [], [], []
    for number, task in enumerate(document, 1):
        key = f"task {task.get('id', number)}" if isinstance(task, dict) else ""
        found = _regions(task) if isinstance(task, dict) else None
        if found is None:
            odd.append(f"entry {number}")
            continue
        several += [key] if found.others else []
        predicted += [key] if found.predicted else []
        size: tuple[Any, Any] = (None, None)
        shapes = []
        for place, region in enumerate(found.regions, 1):
            shape = _read_region(region)
            if shape is None:
                other += [f"region {place} of {key}"] if _has_shape(region) else []
                continue
            size = size if region.get("image_rotation") else (region["original_width"], region["original_height"])
            mark = OBJECT.fullmatch(_first(_meta(region).get("text")))
            own_id = mark[1] if mark else f"{key} region {place}"
            shapes.append((own_id if mark else None, {"image_id": key, "id": own_id, **shape}))
        annotations += unite(shapes)
        items.append((key, {"file_name": _image(task), "width": size[0], "height": size[1]}, key))
        silent += [key] if not found.said or any(map(_has_shape, found.regions)) else []
    note(notes.lost, "entries that are no tasks, left out", odd)
    note(notes.lost, "regions that are no rectangles or polygons, left out", other)
    note(notes.remarks, "tasks with several annotations, of which the first counts", several)
    note(notes.remarks, "tasks that nobody annotated, whose predictions count", predicted)
    return Contents(read_images(items, notes), annotations, numbered=False, unread=len(other), silent=silent)


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


def _read_region(region: dict[str, Any]) -> dict[str, Any] | None:
    """The fields of a COCO annotation, in pixels; None of what is neither a rectangle nor a polygon."""
    value = region.get("value")
    width, height = (integer(region.get(f"original_{name}")) for name in ("width", "height"))
    if not isinstance(value, dict) or not width or not height:
        return None
    lists = (value[name] for name in ("rectanglelabels", "polygonlabels", "labels") if name in value)
    score = region.get("score")
    label = {"category": _first(next(lists, None)) or "object", "score": score}
    if "points" in value:
        pairs = value["points"] if isinstance(value["points"], list) else []
        shares = [n for pair in pairs for n in read_numbers(pair, 2) or ()]
        if len(pairs) < 3 or len(shares) != 2 * len(pairs):
            return None
        points = [share * (height if place % 2 else width) / 100 for place, share in enumerate(shares)]
        return {**label, "bbox": xywh(points), "segmentation": [points]}
    numbers = read_numbers([value.get(name) for name in ("x", "y", "width", "height")], 4)
    if numbers is None:
        return None
    x, y, w, h = (n * side / 100 for n, side in zip(numbers, (width, height, width, height), strict=True))
    turn = math.radians(number_or_none(value.get("rotation")) or 0)  # about the upper left corner
    cosine, sine = math.cos(turn), math.sin(turn)
    box = turned_box((x, y), (w * cosine, w * sine), (-h * sine, h * cosine))
    return {**label, "bbox": box}


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
