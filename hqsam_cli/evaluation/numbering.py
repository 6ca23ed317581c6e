"""Ids of a data set's JSON, whatever they are, as the numbers from 1 that COCO's evaluation takes for granted.

It reads an id of 0 as "no match" and keeps categories in arrays; so no figure depends on how ids are numbered.
"""

from __future__ import annotations

from typing import Any

from ..errors import HqsamError
from ..formats.coco import image_name
from ..formats.segmentation import bounding_box, sound_polygons
from ..formats.values import Identifier, identifier, integer, is_set, number_or_none, read_numbers, some_of
from ..io.names import ADDRESS, plain_name

CATEGORY_LISTS = ("neg_category_ids", "not_exhaustive_category_ids")  # LVIS, of an image


def numbered_document(path: str, document: dict[str, Any]) -> dict[str, Any]:
    """`images`, `annotations` and `categories` with ids from 1; `given_id` is what the file has.

    `lost` is sentences about annotations that cannot count.

    Raises:
        HqsamError: an entry lacks something, or refers to what is not there.
    """
    for key in ("images", "annotations", "categories"):
        if not isinstance(document.get(key), list):
            raise HqsamError(f"has no list of {key}", file=path, remedy="give COCO-style instances")
    images = _numbered(path, "image", document["images"])
    categories = _numbered(path, "category", document["categories"])
    for item in images.values():
        name = image_name(item)
        if name is None:
            raise HqsamError(f"gives image {item['given_id']} no file_name", file=path, remedy="mend its JSON")
        item["width"], item["height"] = integer(item.get("width")), integer(item.get("height"))
        # LVIS gives a COCO address instead of a name.
        item["file_name"] = plain_name(name) if ADDRESS.match(name) else name
        for key in CATEGORY_LISTS:
            if isinstance(item.get(key), list):
                keys = (identifier(n) for n in item[key])
                item[key] = [categories[own]["id"] for own in keys if own is not None and own in categories]
    annotations, strange = [], 0
    shapeless: list[str] = []
    named = {str(category.get("name")): category for category in categories.values()}
    for number, item in enumerate(document["annotations"], 1):
        image = images.get(_key(path, f"annotation {number}", item, "image_id"))
        kind = _key(path, f"annotation {number}", item, "category_id")
        category = categories.get(kind) or named.get(str(kind))
        if category is None:
            raise HqsamError(f"annotation {number} has a category_id that it does not list", file=path)
        if image is None:
            strange += 1
            continue
        made = _annotation(number, item, image["id"], category["id"])
        if made is None:
            shapeless.append(f"annotation {item.get('id', number)}")
        else:
            annotations.append(made)
    if strange:
        raise HqsamError(f"annotations of {strange} images that it does not list", file=path, remedy="fetch it again")
    what = f"{path}: annotations without a box and a mask, left out: {len(shapeless)} ({some_of(shapeless)})"
    lost = [what] if shapeless else []
    if shapeless and not annotations:
        raise HqsamError(lost[0], remedy="each needs a bbox of four numbers and a segmentation")
    listed = {"images": list(images.values()), "categories": list(categories.values())}
    return {**listed, "annotations": annotations, "lost": lost}


def _numbered(path: str, what: str, entries: list[Any]) -> dict[Identifier, dict[str, Any]]:
    """Entries by what the file calls them, each with a number as its id."""
    found: dict[Identifier, dict[str, Any]] = {}
    for number, entry in enumerate(entries, 1):
        key = _key(path, f"{what} {number}", entry, "id")
        if key in found:
            raise HqsamError(f"{what} {number} has the id {key} of an earlier one", file=path, remedy="mend it")
        found[key] = {**entry, "id": len(found) + 1, "given_id": key}
    return found


def _key(path: str, what: str, entry: Any, field: str) -> Identifier:
    """What an entry calls something."""
    key = identifier(entry.get(field)) if isinstance(entry, dict) else None
    if key is None:
        raise HqsamError(f"{what} has no {field}", file=path, remedy="mend it, or fetch the file again")
    return key


def _annotation(number: int, item: dict[str, Any], image_id: int, category_id: int) -> dict[str, Any] | None:
    """An annotation with what COCO's evaluation takes for granted; None where it lacks a box or a mask."""
    shape = item.get("segmentation")
    if isinstance(shape, list):
        try:
            shape = sound_polygons(shape)
        except ValueError:
            return None
    elif isinstance(shape, dict) and isinstance(shape.get("size"), list):
        shape = {**shape, "size": [integer(n) for n in shape["size"]]}
    box = read_numbers(item.get("bbox"), 4)
    if box is None and (corners := bounding_box(shape, None)) is not None:
        box = [corners[0], corners[1], corners[2] - corners[0], corners[3] - corners[1]]
    if box is None or not shape:
        return None
    area = number_or_none(item.get("area"))
    own = {"id": number, "image_id": image_id, "category_id": category_id, "bbox": box, "segmentation": shape}
    return {
        **item,
        **own,
        "given_id": item.get("id", number),
        "iscrowd": int(is_set(item.get("iscrowd"))),
        "area": box[2] * box[3] if area is None else area,
    }
