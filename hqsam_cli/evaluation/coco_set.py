"""Ground truth with many objects per image: COCO, LVIS, UVO, YouTube-VIS (frame by frame) and other COCO-style JSON.

Ids are renumbered from 1, because COCO's evaluation reads an id of 0 as "no match".
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data.sets import Dataset
from ..errors import HqsamError
from ..formats.coco import image_name
from ..formats.coco_file import read_whole
from ..formats.segmentation import bounding_box, decode_segmentation, sound_polygons
from ..formats.values import Identifier, JsonObject, identifier, integer, is_set, note, number_or_none, read_numbers
from ..io.copies import LocalCopy
from ..io.images import read_header
from ..io.names import ADDRESS, is_absolute, leaves_folder, plain_name, tails
from ..records import Segmentation

CATEGORY_LISTS = ("neg_category_ids", "not_exhaustive_category_ids")  # per image, in LVIS


class GTObject(NamedTuple):
    """A COCO-style annotation; `name` is its id in the file, `area` NaN while it is unknown."""

    id: int
    image_id: int
    category_id: int
    bbox: list[float]
    segmentation: Segmentation
    area: float
    iscrowd: int
    name: object


@dataclass(frozen=True, slots=True)
class PromptBox:
    """A box prompt in XYWH format, from a detector or from the ground truth."""

    bbox: list[float]
    category_id: int
    score: float = 1.0
    gt: GTObject | None = None


@dataclass(frozen=True, slots=True)
class GTImage:
    """An image with its objects and box prompts.

    Sizes are (width, height); `given_size` is the size in the JSON file. `category_lists` are LVIS' lists of category
    ids.
    """

    name: str
    image_id: int
    path: Path
    given_size: tuple[int, int] | None
    size: tuple[int, int]
    objects: list[GTObject]
    boxes: list[PromptBox]
    category_lists: dict[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CocoSet:
    """A COCO-style dataset; `categories` are ids, and `problems` describe skipped entries."""

    dataset: Dataset
    images: list[GTImage]
    categories: list[int]
    problems: list[str] = field(default_factory=list)


def read_coco_set(dataset: Dataset, detections: Path | None) -> CocoSet:
    """Read a dataset's JSON file; box prompts come from `detections` if given, else from the ground truth.

    Raises an HqsamError for incomplete entries, or detections of other images.
    """
    path = dataset.gt
    document = _frames_as_images(read_whole(LocalCopy(Path(path))))
    for part in ("images", "annotations", "categories"):
        if not isinstance(document.get(part), list):
            raise HqsamError(f"has no list of {part}", file=path, remedy="pass COCO-style instances")
    images = _by_id(path, "image", document["images"])
    categories = _by_id(path, "category", document["categories"])
    category_ids = {key: number for number, key in enumerate(categories, 1)}
    image_ids = {key: number for number, key in enumerate(images, 1)}
    result = CocoSet(dataset, [], list(category_ids.values()))
    names = {str(own.get("name")): category_ids[key] for key, own in categories.items()}
    objects = _read_objects(path, document["annotations"], image_ids, category_ids, names, result.problems)
    boxes: dict[int, list[PromptBox]] | None = None
    if detections is not None:
        boxes = _read_detections(detections, image_ids, None if dataset.class_agnostic else category_ids)
    seen: Counter[str] = Counter()
    for key, item in images.items():
        file_name = image_name(item)
        if file_name is None:
            raise HqsamError(f"image {key} has no file_name", file=path, remedy="fix its JSON")
        file_name = plain_name(file_name) if ADDRESS.match(file_name) else file_name  # LVIS stores a COCO URL
        seen[file_name] += 1
        title = f"{file_name} ({seen[file_name]})" if seen[file_name] > 1 else file_name
        image_path = _path_below(Path(dataset.images), file_name)
        width, height = integer(item.get("width")), integer(item.get("height"))
        given = (width, height) if width and height else None
        header = read_header(str(image_path)) if given is None else None
        size = given or ((0, 0) if header is None else header.size("ignore"))
        own = [_with_area(o, size) for o in objects[image_ids[key]]]
        prompts = [PromptBox(o.bbox, o.category_id, gt=o) for o in own if not o.iscrowd]
        prompts = prompts if boxes is None else boxes[image_ids[key]]
        usable = [box for box in prompts if box.bbox[2] > 0 and box.bbox[3] > 0]
        if len(usable) < len(prompts):
            result.problems.append(f"{file_name}: {len(prompts) - len(usable)} boxes without an area; skipped")
        lists = {
            name: [category_ids[k] for n in item[name] if (k := identifier(n)) is not None and k in category_ids]
            for name in CATEGORY_LISTS
            if isinstance(item.get(name), list)
        }
        result.images.append(GTImage(title, image_ids[key], image_path, given, size, own, usable, lists))
    return result


def _by_id(path: str, what: str, entries: Sequence[Any]) -> dict[Identifier, JsonObject]:
    """Map ids to entries."""
    found: dict[Identifier, JsonObject] = {}
    for number, entry in enumerate(entries, 1):
        key = _key(path, f"{what} {number}", entry, "id")
        if key in found:
            raise HqsamError(f"{what} {number} has the id {key} of an earlier one", file=path, remedy="fix it")
        found[key] = entry
    return found


def _key(path: str, what: str, entry: Any, field: str) -> Identifier:
    key = identifier(entry.get(field)) if isinstance(entry, dict) else None
    if key is None:
        raise HqsamError(f"{what} has no {field}", file=path, remedy="fix it, or download the file again")
    return key


def _read_objects(
    path: str,
    entries: Sequence[Any],
    image_ids: dict[Identifier, int],
    category_ids: dict[Identifier, int],
    names: dict[str, int],
    problems: list[str],
) -> dict[int, list[GTObject]]:
    """Group annotations by image; those that cannot be scored are counted in `problems`."""
    objects: dict[int, list[GTObject]] = defaultdict(list)
    unlisted, shapeless = 0, []
    for number, entry in enumerate(entries, 1):
        image_id = image_ids.get(_key(path, f"annotation {number}", entry, "image_id"))
        category = _key(path, f"annotation {number}", entry, "category_id")
        category_id = category_ids.get(category) or names.get(str(category))
        if category_id is None:
            raise HqsamError(f"annotation {number} has a category_id that it does not list", file=path)
        if image_id is None:
            unlisted += 1
        elif (found := _read_object(number, entry, image_id, category_id)) is None:
            shapeless.append(f"annotation {entry.get('id', number)}")
        else:
            objects[image_id].append(found)
    if unlisted:
        raise HqsamError(
            f"annotations of {unlisted} images that it does not list", file=path, remedy="download it again"
        )
    note(problems, f"{path}: annotations without a box and a mask, skipped", shapeless)
    if shapeless and not objects:
        raise HqsamError(problems[-1], remedy="each needs a bbox of four numbers and a segmentation")
    return objects


def _read_object(number: int, entry: JsonObject, image_id: int, category_id: int) -> GTObject | None:
    """Parse an annotation; None if it has no box or mask."""
    shape = entry.get("segmentation")
    if isinstance(shape, list):
        try:
            shape = sound_polygons(shape)
        except ValueError:
            return None
    elif isinstance(shape, dict) and isinstance(shape.get("size"), list):
        shape = {**shape, "size": [integer(n) for n in shape["size"]]}
    box = read_numbers(entry.get("bbox"), 4)
    if box is None and (corners := bounding_box(shape, None)) is not None:
        box = [corners[0], corners[1], corners[2] - corners[0], corners[3] - corners[1]]
    if box is None or not shape:
        return None
    area = number_or_none(entry.get("area"))
    area, name = math.nan if area is None else area, entry.get("id", number)
    return GTObject(number, image_id, category_id, box, shape, area, int(is_set(entry.get("iscrowd"))), name)


def _with_area(item: GTObject, size: tuple[int, int]) -> GTObject:
    """An object whose area is that of its mask, if the file has none; `size` is that of the image."""
    if not math.isnan(item.area):
        return item
    try:
        return item._replace(area=float(np.count_nonzero(decode_segmentation(item.segmentation, *size))))
    except ValueError:
        return item._replace(area=item.bbox[2] * item.bbox[3])


def _path_below(root: Path, name: str) -> Path:
    """Resolve an image path inside a folder. Raises an HqsamError if the path escapes the folder."""
    inside = os.path.join(os.path.abspath(root), "")
    plain = plain_name(name)
    # A path that escapes the folder is not an image of the dataset, whatever its extension.
    for written in (name, plain, *(() if leaves_folder(name) else tails(plain))):
        path: Path = root / written
        if os.path.abspath(path).startswith(inside) and path.exists():
            return path
    if leaves_folder(name) or is_absolute(name):
        raise HqsamError(f"the data set names an image outside its folder, {name!r}", remedy="fix its JSON")
    return root / name


def _read_detections(
    path: Path, image_ids: dict[Identifier, int], category_ids: dict[Identifier, int] | None
) -> dict[int, list[PromptBox]]:
    """Group boxes of COCO results, or of a COCO file's annotations, by image; `category_ids=None` ignores classes."""
    content = read_whole(LocalCopy(path))
    entries = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not all(isinstance(item, dict) and "bbox" in item for item in entries):
        raise HqsamError(
            "contains no list of results with a bbox", file=path, remedy="pass the COCO results of a detector"
        )
    unlisted = {str(item.get("image_id")) for item in entries if identifier(item.get("image_id")) not in image_ids}
    if unlisted:
        reason = f"{len(unlisted)} of its image ids are not of this data set (first: {min(unlisted)})"
        raise HqsamError(reason, file=path, remedy="pass detections on the same images")
    boxes: dict[int, list[PromptBox]] = defaultdict(list)
    for number, item in enumerate(entries, 1):
        box, score = read_numbers(item["bbox"], 4), number_or_none(item.get("score"))
        if box is None or score is None:
            raise HqsamError(f"result {number} needs a bbox of four numbers and a score", file=path)
        category, image = identifier(item.get("category_id")), identifier(item["image_id"])
        category_id = 1 if category_ids is None else category_ids.get("" if category is None else category)
        if image is None or category_id is None:
            reason = f"result {number} has the category_id {item.get('category_id')}, which the data set does not know"
            raise HqsamError(reason, file=path, remedy="pass detections with its categories")
        boxes[image_ids[image]].append(PromptBox(box, category_id, score))
    return boxes


def _frames_as_images(document: Any) -> JsonObject:
    """Convert a YouTube-VIS document to one image per frame and one annotation per mask; others are unchanged."""
    if not isinstance(document, dict):
        return {}
    if "videos" not in document:
        return document
    images: list[JsonObject] = []
    annotations: list[JsonObject] = []
    first: dict[Identifier | None, int] = {}
    try:
        for video in document["videos"]:
            first[identifier(video["id"])] = len(images) + 1
            for name in video["file_names"]:
                size = {"width": video["width"], "height": video["height"]}
                images.append({"id": len(images) + 1, "file_name": name, **size})
        for track in document["annotations"]:
            areas = track.get("areas") or [None] * len(track["bboxes"])
            shared = {"category_id": track["category_id"], "iscrowd": track.get("iscrowd", 0)}
            for frame, (shape, box) in enumerate(zip(track["segmentations"], track["bboxes"], strict=True)):
                if shape is None or box is None:
                    continue
                own = {"id": len(annotations) + 1, "image_id": first[identifier(track["video_id"])] + frame, **shared}
                annotations.append({**own, "segmentation": shape, "bbox": box, "area": areas[frame]})
    except (KeyError, TypeError, ValueError, IndexError) as error:
        reason = f"the data set is not YouTube-VIS JSON ({type(error).__name__}: {error})"
        raise HqsamError(reason, remedy="fix it") from None
    return {"images": images, "annotations": annotations, "categories": document["categories"]}
