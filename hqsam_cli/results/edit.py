"""Results made of other results: joined, filtered, split and renumbered. Nothing is read before it is written."""

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
        min_score: annotations without a score stay.
        categories: names.
        min_area, max_area: in pixels.
        files: names of images.
    """

    min_score: float | None = None
    categories: frozenset[str] | None = None
    min_area: float | None = None
    max_area: float | None = None
    files: frozenset[str] | None = None


def choose(results: Results, choice: Choice) -> Results:
    """The chosen part of results. Images of the chosen files stay, whether an annotation is left or not.

    Raises:
        UsageError: an unknown category, or names of files or categories for a results list, which has none.
    """
    if results.kind == "COCO results" and (choice.files is not None or choice.categories is not None):
        raise UsageError("a COCO results list has no names", remedy="give COCO instances, or leave names out")
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
    """Results of the images whose names are wanted; for a results list, whose ids are."""
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
    """Of the mask in pixels, as the file says; else of the box."""
    if annotation.get("area") is not None:
        return float(annotation["area"])
    return float(annotation["bbox"][2] * annotation["bbox"][3]) if annotation.get("bbox") else 0.0


def split(results: Results, fractions: Mapping[str, float], seed: int) -> dict[str, Results]:
    """Results in parts by the names of images alone: an image stays in its part, whatever other images there are.

    Args:
        fractions: of the parts, which add up to 1.
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
    """Results whose images and annotations are numbered from 1, in their order."""

    def images() -> Iterator[CocoImage]:
        return ({**image, "id": number} for number, image in enumerate(results.images(), 1))

    def annotations() -> Iterator[Annotation]:
        ids = {image["id"]: number for number, image in enumerate(results.images(), 1)}
        for number, annotation in enumerate(results.annotations(), 1):
            own = annotation["image_id"]
            yield {**annotation, "id": number, "image_id": ids.get(own, own)}

    return replace(results, images=images, annotations=annotations)


def merge(parts: Sequence[Results]) -> Results:
    """Results joined: images of one name are one image, and categories of one name one category.

    Ids stay as far as they can: an image id that another image has is replaced, and so are all annotation ids of a
    file that has one of an earlier file.

    Raises:
        UsageError: results lists and others together.
        HqsamError: when images are read, an id is of two images of one file.
    """
    is_list = {part.kind == "COCO results" for part in parts}
    if len(is_list) > 1:
        raise UsageError("COCO results lists have no names to join by", remedy="give either lists alone, or none")
    categories: dict[str, Category] = {}
    numbers: list[dict[int | None, int]] = []  # new ids of categories, for each part
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
    """For each part the image ids that change, with the new ones, and the places of images that came before."""
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
                reason = f"image id {number} is of {owner} and of {name}"
                raise HqsamError(reason, file=part.path, remedy="give each image an id of its own")
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
    """For each part None where its annotations keep their ids, else what is added to their places, from 1."""
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
