"""Merge, filter, split and renumber results, lazily while the output is written."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np

from ..errors import HqsamError, UsageError
from ..io.digest import hash_number
from ..records import Annotation, Category, CocoImage
from .stream import Results


@dataclass(frozen=True, slots=True)
class Choice:
    """Which images and annotations are kept; None keeps all.

    Attributes:
        min_score: minimum score; annotations without a score are kept.
        categories: category names.
        min_area, max_area: in pixels.
        files: image names.
    """

    min_score: float | None = None
    categories: frozenset[str] | None = None
    min_area: float | None = None
    max_area: float | None = None
    files: frozenset[str] | None = None


def choose(results: Results, choice: Choice) -> Results:
    """Filter results. Selected images are kept even if no annotation is left.

    Raises:
        UsageError: a category is unknown, or images or categories are selected in a results list, which has no names.
    """
    if results.kind == "COCO results" and (choice.files is not None or choice.categories is not None):
        raise UsageError("a COCO results list has no names", remedy="pass COCO instances, or omit names")
    names = {category["id"]: str(category["name"]) for category in results.categories}
    if unknown := sorted((choice.categories or frozenset()) - set(names.values())):
        known = ", ".join(sorted(set(names.values()))) or "none"
        raise UsageError("no such category", option="categories", value=unknown[0], remedy=f"there are {known}")
    numbers = {number for number, name in names.items() if choice.categories is None or name in choice.categories}

    def stays(annotation: Annotation) -> bool:
        score = annotation.get("score")
        return (
            (choice.min_score is None or score is None or score >= choice.min_score)
            and (choice.categories is None or annotation.get("category_id") in numbers)
            and (choice.min_area is None or area(annotation) >= choice.min_area)
            and (choice.max_area is None or area(annotation) <= choice.max_area)
        )

    kept = replace(
        results,
        categories=[category for category in results.categories if category["id"] in numbers],
        annotations=lambda: filter(stays, results.annotations()),
    )
    files = choice.files
    return kept if files is None else of_images(kept, lambda name: name in files)


def of_images(results: Results, wanted: Callable[[str], bool]) -> Results:
    """Filter results by image name; a results list by image id."""
    if results.kind == "COCO results":
        return replace(
            results, annotations=lambda: (own for own in results.annotations() if wanted(str(own["image_id"])))
        )

    def images() -> Iterator[CocoImage]:
        return (image for image in results.images() if wanted(image["file_name"]))

    def annotations() -> Iterator[Annotation]:
        ids = {image["id"] for image in images()}
        return (annotation for annotation in results.annotations() if annotation["image_id"] in ids)

    return replace(results, images=images, annotations=annotations)


def area(annotation: Annotation) -> float:
    """Area of the mask in pixels as stored, or else of the box."""
    if annotation.get("area") is not None:
        return float(annotation["area"])
    return float(annotation["bbox"][2] * annotation["bbox"][3]) if annotation.get("bbox") else 0.0


def split(results: Results, fractions: Mapping[str, float], seed: int) -> dict[str, Results]:
    """Split results by image name only, so that the part of an image does not depend on other images.

    Args:
        fractions: fraction of each part; they sum to 1.
    """

    def part_of(name: str) -> str:
        place, total = hash_number(f"{seed}/{name}".encode("utf-8", "surrogateescape")) / 2**64, 0.0
        for part, fraction in fractions.items():
            total += fraction
            if place < total:
                return part
        return part

    def is_in(part: str) -> Callable[[str], bool]:
        return lambda name: part_of(name) == part

    return {part: of_images(results, is_in(part)) for part in fractions}


def renumber(results: Results) -> Results:
    """Renumber images and annotations from 1, in order."""

    def images() -> Iterator[CocoImage]:
        return ({**image, "id": number} for number, image in enumerate(results.images(), 1))

    def annotations() -> Iterator[Annotation]:
        ids = {image["id"]: number for number, image in enumerate(results.images(), 1)}
        for number, annotation in enumerate(results.annotations(), 1):
            own = annotation["image_id"]
            yield {**annotation, "id": number, "image_id": ids.get(own, own)}

    return replace(results, images=images, annotations=annotations)


def merge(parts: Sequence[Results]) -> Results:
    """Merge results; images and categories with equal names are merged.

    Ids are kept if possible: an image id already used by another image is replaced, and all annotation ids of a file if
    one is already used by an earlier file.

    Raises:
        UsageError: results lists are mixed with other formats.
        HqsamError: raised when images are read, if two images of a file have the same id.
    """
    is_list = {part.kind == "COCO results" for part in parts}
    if len(is_list) > 1:
        raise UsageError("COCO results lists have no names to match", remedy="pass only lists, or none")
    categories: dict[str, Category] = {}
    numbers: list[dict[int | None, int]] = []  # new category ids of each part
    for part in parts:
        for category in part.categories:
            name = str(category["name"])
            if name not in categories:
                taken = {known["id"] for known in categories.values()}
                free = category["id"] if category["id"] not in taken else next(n for n in count(1) if n not in taken)
                categories[name] = {**category, "id": free}
        numbers.append({category["id"]: categories[str(category["name"])]["id"] for category in part.categories})
    offsets = [None] * len(parts) if True in is_list else _offsets(parts)

    def images() -> Iterator[CocoImage]:
        for part, (new, repeated) in zip(parts, _image_ids(parts), strict=True):
            for place, image in enumerate(part.images()):
                if place not in repeated:
                    yield {**image, "id": new.get(image["id"], image["id"])}

    def annotations() -> Iterator[Annotation]:
        for part, own, (new, _), offset in zip(parts, numbers, _image_ids(parts), offsets, strict=True):
            for place, annotation in enumerate(part.annotations(), 1):
                image_id, category = annotation["image_id"], annotation.get("category_id")
                changed: Annotation = {**annotation, "image_id": new.get(image_id, image_id)}
                if category is not None:
                    changed["category_id"] = own.get(category, category)
                if offset is not None:
                    changed["id"] = offset + place
                yield changed

    return replace(parts[0], categories=list(categories.values()), images=images, annotations=annotations)


def _image_ids(parts: Sequence[Results]) -> list[tuple[dict[Any, Any], set[int]]]:
    """For each part, changed image ids with new ones, and indices of images of earlier parts."""
    known: dict[str, Any] = {}
    taken: set[Any] = set()
    found = []
    free = 1
    for part in parts:
        new: dict[Any, Any] = {}
        repeated: set[int] = set()
        owners: dict[Any, str] = {}
        for place, image in enumerate(part.images()):
            name, number = image["file_name"], image["id"]
            owner = owners.setdefault(number, name)
            if owner != name:
                reason = f"image id {number} is both {owner} and {name}"
                raise HqsamError(reason, file=part.path, remedy="use a unique id for each image")
            if name in known:
                repeated.add(place)
            else:
                while number in taken:
                    number, free = free, free + 1
                taken.add(number)
                known[name] = number
            if known[name] != image["id"]:
                new[image["id"]] = known[name]
        found.append((new, repeated))
    return found


def _offsets(parts: Sequence[Results]) -> list[int | None]:
    """For each part, the offset added to 1-based annotation indices, or None if ids are kept."""
    taken = np.zeros(0, np.int64)
    offsets: list[int | None] = []
    for part in parts:
        ids = array("q")
        are_integers = True
        for annotation in part.annotations():
            number = annotation.get("id")
            are_integers = are_integers and isinstance(number, int) and abs(number) < 2**62
            ids.append(number if are_integers and number is not None else 0)
        distinct = np.unique(np.asarray(ids, np.int64))
        keeps = are_integers and len(distinct) == len(ids) and not np.isin(distinct, taken, assume_unique=True).any()
        offset = None if keeps else int(taken.max(initial=0))
        if offset is not None:
            distinct = np.arange(offset + 1, offset + 1 + len(ids), dtype=np.int64)
        offsets.append(offset)
        taken = np.concatenate([taken, distinct])
    return offsets
