"""The fields of COCO annotations, as whoever exported them wrote them, checked one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..configs import DEFAULT_MAX_PIXELS, BoxFormat
from ..records import Box, NormalizedPolygon, Segmentation
from .boxes import enclosing_box, read_box
from .prompt_file import Contents, FileAnnotation, FileImage, Notes, Use, note
from .segmentation import decode_segmentation, sound_polygons
from .values import identifier, is_set, number_or_none, short

FIELDS: dict[Use, str] = {"box": "bbox", "xyxyn": "bbox", "points": "points", "mask": "segmentation"}
CATEGORY_NAMES = ("category", "category_name")


def read_annotations(
    contents: Contents, use: Use, notes: Notes, *, box_format: BoxFormat = "xywh"
) -> list[FileAnnotation]:
    """The sound annotations; `notes` says of the others why not."""
    field = FIELDS[use]
    read = _readers(box_format)[use]
    found: list[FileAnnotation] = []
    lost: dict[str, list[str]] = {}
    remarks: dict[str, list[str]] = {}
    for number, item in enumerate(contents.annotations, 1):
        key = identifier(item.get("image_id")) if isinstance(item, dict) else None
        if key is None:
            lost.setdefault("annotations without image_id, left out", []).append(f"entry {number}")
            continue
        if key not in contents.images:
            lost.setdefault("annotations of unlisted images, left out", []).append(f"image id {key}")
            continue
        annotation_id = identifier(item.get("id"))
        image = contents.images[key]
        where = f"{f'entry {number}' if annotation_id is None else f'annotation {annotation_id}'} of {image.label}"
        if is_set(item.get("iscrowd")):
            remarks.setdefault("crowd regions, left out", []).append(where)
            continue
        try:
            value = read(item, image)
        except ValueError as error:
            lost.setdefault(f"annotations whose {field} {error}, left out", []).append(
                f"{where}, {short(item.get(field))}"
            )
            continue
        if value is None:
            lost.setdefault(f"annotations without {field}, left out", []).append(where)
            continue
        score = number_or_none(item.get("score"))
        if score is None and item.get("score") is not None:
            remarks.setdefault("scores that are no numbers, ignored", []).append(where)
        name = next((item[key] for key in CATEGORY_NAMES if isinstance(item.get(key), str)), None)
        found.append(FileAnnotation(key, value, annotation_id, identifier(item.get("category_id")), name, score))
    for sentences, kinds in ((notes.lost, lost), (notes.remarks, remarks)):
        for what, examples in kinds.items():
            note(sentences, what, examples)
    return found


Read = Callable[[Mapping[str, Any], FileImage], Any]


def _readers(box_format: BoxFormat) -> dict[Use, Read]:
    """By use, what reads its value from an annotation: None where it is not there, a ValueError where it is none."""

    def box(item: Mapping[str, Any], image: FileImage) -> Any:
        value, shape = item.get("bbox"), item.get("segmentation")
        try:
            return None if value in (None, []) and not shape else read_box(value, box_format)
        except ValueError:
            around = box_around(shape, image.size) if box_format in ("xywh", "xyxy") else None
            if around is None:
                raise
            return around

    def points(item: Mapping[str, Any], _image: FileImage) -> Any:
        return None if item.get("points") in (None, []) else _points(item["points"])

    def mask(item: Mapping[str, Any], _image: FileImage) -> Any:
        return None if item.get("segmentation") in (None, []) else _segmentation(item["segmentation"])

    return {"box": box, "xyxyn": box, "points": points, "mask": mask}


def box_around(shape: Any, size: tuple[int, int] | None) -> Box | None:
    """The box of a segmentation, where there is one that can be drawn."""
    try:
        if isinstance(shape, list):
            corners = [n for polygon in sound_polygons(shape) for n in polygon]
            return read_box(enclosing_box(corners), "xyxy")
        height, width = size[::-1] if size else (int(n) for n in shape["size"])
        if not 0 < height * width <= DEFAULT_MAX_PIXELS:
            return None
        rows, columns = np.nonzero(decode_segmentation(shape, width, height))
        return float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1)
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _points(value: Any) -> np.ndarray:
    """Points as float32 (n, 3): x, y, label."""
    rows = [[number_or_none(n) for n in row] if isinstance(row, list) else [] for row in _listed(value)]
    if not all(len(row) == 3 and None not in row and row[2] in (0, 1) for row in rows):
        raise ValueError("is not a list of [x, y, 1 or 0]")
    return np.array(rows, np.float32)


def _segmentation(value: Any) -> Segmentation | NormalizedPolygon:
    """An RLE or polygons; their content is checked against the image."""
    if isinstance(value, NormalizedPolygon) or (isinstance(value, dict) and "counts" in value and "size" in value):
        return value
    return _listed(value)


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("is of another kind")
    return value
