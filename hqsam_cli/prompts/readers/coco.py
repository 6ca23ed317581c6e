"""COCO JSON as prompts: instances, results lists, and NDJSON, one line per image with its annotations."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import Any

from ...configs import BoxFormat
from ...formats.coco import image_name
from ...formats.segmentation import enclosing_box
from ...formats.values import (
    FileCategory,
    Identifier,
    JsonObject,
    dict_or_empty,
    identifier,
    integer,
    is_set,
    number_or_none,
    read_numbers,
    short,
)
from ...records import MappedObject
from ..boxes import NORMALIZED, corners, rotated_corners
from ..prompt_file import NameKind, PromptFile

BOX_MODES: dict[object, BoxFormat] = {0: "xyxy", 1: "xywh"}  # of the records of detectron2
OBJECT = {"bbox", "box", "segmentation", "points", "polygon"}  # keys of objects
RESULTS = {"bbox", "segmentation", "points", "keypoints"}
CATEGORY_NAMES = ("category", "category_name", "label", "class", "class_name", "name")


class Lines(list[Any]):
    """The documents of a file with several lines."""


def read_instances(document: Any, file: PromptFile) -> bool:
    """Read COCO instances."""
    if not isinstance(document, dict) or not isinstance(document.get("images"), list):
        return False
    annotations = document.get("annotations", [] if file.use is None else None)
    if not isinstance(annotations, list):
        keys = ", ".join(map(str, document))
        raise ValueError(f"COCO whose annotations are not a list, with the keys {keys}; pass a file with annotations")
    for number, item in enumerate(document["images"], 1):
        add_image(file, item.get("id") if isinstance(item, dict) else None, item, f"image entry {number}")
    _add_categories(file, document.get("categories"))
    for item in annotations:
        if isinstance(item, dict) and isinstance(item.get("segments_info"), list):
            _add_segments(file, item)
        else:
            add_annotation(file, item)
    return True


def _add_segments(file: PromptFile, item: JsonObject) -> None:
    """Add the segments of an image of panoptic segmentation; their masks are in the folder of the name of the file.

    Raises:
        ValueError: there is no such folder.
    """
    folder = Path(file.path).with_suffix("")
    if file.use == "mask" and not folder.is_dir():
        raise ValueError(f"panoptic segmentation, whose masks are in images; pass their folder, or move it to {folder}")
    path = folder / PurePath(str(item.get("file_name"))).name
    for own in map(dict_or_empty, item["segments_info"]):
        number = integer(own.get("id"))
        mask = None if number is None or file.use != "mask" else MappedObject(path, number, listed=True)
        add_annotation(file, {**own, "segmentation": mask}, item.get("image_id"))


def read_results(document: Any, file: PromptFile) -> bool:
    """Read a COCO results list; images are those of another file, or identified by their ids.

    A list qualifies if it is empty or any entry has an image id and an object, even if others are damaged.
    """
    entries = document if isinstance(document, list) else []
    named = any(isinstance(item, dict) and "image_id" in item and RESULTS & item.keys() for item in entries)
    if not named and document != []:
        return False
    if file.listed is not None:
        file.images.update(file.listed.images)
        file.categories = file.listed.categories
    else:
        file.unlisted = True
        # A number is the stem of a name, a string the name itself, with or without suffix.
        kinds: tuple[NameKind, NameKind] = ("stem", "path_stem")
        keys = dict.fromkeys(identifier(item.get("image_id")) for item in document if isinstance(item, dict))
        for key in (key for key in keys if key is not None):
            file.add_image(key, str(key), str(key), image_id=integer(key), kind=kinds[isinstance(key, str)])
    file.unread.update(file.images)
    for item in document:
        add_annotation(file, item)
    return True


def read_lines(document: Any, file: PromptFile) -> bool:
    """Read `Lines`, a list of the same, or a single image; equal images in two lines count as two."""
    lines = document if isinstance(document, list) else [document]
    if not any(map(_is_image, lines)):
        return False
    for number, line in enumerate(lines, 1):
        key = f"line {number}"
        if not _is_image(line):
            file.skip("lines without file_name and annotations, skipped", key)
            continue
        if line["annotations"] == [] and (other := next(filter(None, map(_other_objects, line.items())), None)):
            file.skip(f"lines without annotations, but with {other}, skipped", key)
            continue
        add_image(file, key, line, key)
        if line["annotations"] is None or line.get("error") is not None:
            file.unread.add(key)
        for item in line["annotations"] or ():
            add_annotation(file, item, key)
    return True


def add_image(file: PromptFile, key: object, item: Any, where: str) -> None:
    """Add an image with COCO fields."""
    item = dict_or_empty(item)
    size, extra = (item.get("width"), item.get("height")), item.get("extra")
    # The name before the export: of Roboflow, and of Encord.
    original = extra.get("name") if isinstance(extra, dict) else item.get("image_title")
    file.add_image(key, image_name(item), where, size, item.get("id", item.get("image_id")), original=original)


def add_annotation(file: PromptFile, item: Any, image: object = None) -> None:
    """Add an annotation with COCO fields, to `image` or that of its `image_id`."""
    item = dict_or_empty(item)
    image = item.get("image_id") if image is None else image
    if file.use == "box" and "keypoints" in item and not item.get("bbox") and not item.get("segmentation"):
        what = "annotations with keypoints, but without bbox, skipped"
        file.skip(what, f"annotation {item.get('id')}", identifier(image))
        return
    box, segmentation = item.get("bbox"), item.get("segmentation")
    box_format, attributes = BOX_MODES.get(integer(item.get("bbox_mode"))), item.get("attributes")
    if isinstance(attributes, dict) and (turned := _rotated(item, attributes, file.given_format or file.box_format)):
        box, box_format, segmentation = enclosing_box(turned), "xyxy", [turned]
    file.add(
        image,
        item.get("id"),
        next((item[name] for name in CATEGORY_NAMES if isinstance(item.get(name), str)), None),
        category=item.get("category_id"),
        box=box,
        box_format=box_format,
        points=item.get("points"),
        segmentation=segmentation,
        score=item.get("score"),
        crowd=is_set(item.get("iscrowd")),
    )


def _rotated(item: JsonObject, attributes: JsonObject, box_format: BoxFormat) -> list[float] | None:
    """The corners of a rotated box; None of others.

    CVAT and Encord write boxes, and their outlines, as they are before they are rotated clockwise about the center by
    `attributes.rotation` degrees.
    """
    degrees, numbers = number_or_none(attributes.get("rotation")), read_numbers(item.get("bbox"), 4)
    outline = item.get("segmentation") or [[0] * 8]
    is_box = isinstance(outline, list) and len(outline) == 1 and isinstance(outline[0], list) and len(outline[0]) == 8
    if not degrees or numbers is None or not is_box or box_format in NORMALIZED:
        return None
    try:
        return rotated_corners(corners(numbers, box_format), degrees)
    except ValueError:
        return None


def _add_categories(file: PromptFile, listed: Any) -> None:
    """Add categories by their normalized `id`, each once."""
    categories: dict[Identifier, FileCategory] = {}
    for item in listed if isinstance(listed, list) else []:
        key = identifier(item.get("id")) if isinstance(item, dict) else None
        what = "categories without a unique id, skipped"
        if key is None:
            file.remark(what, short(item))
        elif key not in categories:
            categories[key] = {**item, "id": key, "name": str(item.get("name") or f"category {key}")}
        elif item.get("name") not in (None, categories[key]["name"]):
            file.remark(what, f"{short(item)} has the id of {categories[key]['name']}")
    file.categories = list(categories.values())


def _is_image(line: Any) -> bool:
    """Whether a line has a name and a list of annotations, which is null if they are unknown."""
    named = isinstance(line, dict) and image_name(line) is not None
    return named and isinstance(line.get("annotations", ""), list | None)


def _other_objects(item: tuple[str, Any]) -> str | None:
    """The key of a list of objects."""
    key, value = item
    objects = (own.keys() for own in value if isinstance(own, dict)) if isinstance(value, list) else ()
    return key if any(not OBJECT.isdisjoint(keys) for keys in objects) else None
