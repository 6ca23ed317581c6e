"""Results made of other results: joined, chosen from, split and numbered anew. Nothing is read before it is written."""

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
    """Which images and annotations are kept.

    Attributes:
        min_score: an annotation without a score stays.
        categories: names; all where None.
        min_area, max_area: in pixels.
        files: names of images; all where None.
    """

    min_score: float | None = None
    categories: frozenset[str] | None = None
    min_area: float | None = None
    max_area: float | None = None
    files: frozenset[str] | None = None


def choose(results: Results, choice: Choice) -> Results:
    """What is left of results. Images of the chosen files stay, be there an annotation left or not.

    Raises:
        UsageError: a category that there is none of, or names of files or categories that a results list has not.
    """
    if results.kind == "COCO results" and (choice.files is not None or choice.categories is not None):
        raise UsageError("a COCO results list has no names", remedy="give COCO instances, or leave names out")
    names = {category["id"]: str(category.get("name")) for category in results.categories}
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
    """Results of the images whose names are wanted; a list has no names, and ids stand for them."""
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


def split(results: Results, shares: Mapping[str, float], seed: int) -> dict[str, Results]:
    """Results in parts, by the names of the images alone: an image stays in its part whatever else there is.

    Args:
        shares: of each part, which come to 1.
    """

    def part_of(name: str) -> str:
        place, total = hash_number(f"{seed}/{name}".encode("utf-8", "surrogateescape")) / 2**64, 0.0
        for part, share in shares.items():
            total += share
            if place < total:
                return part
        return part

    def is_in(part: str) -> Callable[[str], bool]:
        return lambda name: part_of(name) == part

    return {part: of_images(results, is_in(part)) for part in shares}


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

    Ids stay as far as they can: an image id that another image has is given anew, and so are all annotation ids of a
    file that has one of an earlier file.

    Raises:
        UsageError: results lists and others together.
        HqsamError: when images are read, an id is of two images of one file.
    """
    if len({part.kind == "COCO results" for part in parts}) > 1:
        raise UsageError("COCO results lists have no names to join by", remedy="give either lists alone, or none")
    categories: dict[str, Category] = {}
    numbers: list[dict[Any, Any]] = []
    for part in parts:
        own = {}
        for category in part.categories:
            name = str(category.get("name"))
            if name not in categories:
                taken = {known["id"] for known in categories.values()}
                free = category["id"] if category["id"] not in taken else next(n for n in count(1) if n not in taken)
                categories[name] = {**category, "id": free}
            own[category["id"]] = categories[name]["id"]
        numbers.append(own)
    offsets = [None] * len(parts) if parts[0].kind == "COCO results" else _offsets(parts)

    def images() -> Iterator[CocoImage]:
        for part, (new, again) in zip(parts, _image_ids(parts), strict=True):
            for place, image in enumerate(part.images()):
                if place not in again:
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
    """For each part the ids that are others in the whole, and the places of its images that have been there before."""
    known: dict[str, Any] = {}
    taken: set[Any] = set()
    found = []
    free = 1
    for part in parts:
        new: dict[Any, Any] = {}
        again: set[int] = set()
        owners: dict[Any, str] = {}
        for place, image in enumerate(part.images()):
            name, number = image["file_name"], image["id"]
            owner = owners.setdefault(number, name)
            if owner != name:
                reason = f"image id {number} is of {owner} and of {name}"
                raise HqsamError(reason, file=part.path, remedy="give each image an id of its own")
            if name in known:
                again.add(place)
                number = known[name]
            while name not in known and number in taken:
                number, free = free, free + 1
            taken.add(number)
            known[name] = number
            if number != image["id"]:
                new[image["id"]] = number
        found.append((new, again))
    return found


def _offsets(parts: Sequence[Results]) -> list[int | None]:
    """For each part None where its annotations keep their ids, else what the first of them is counted from."""
    taken = np.zeros(0, np.int64)
    offsets: list[int | None] = []
    for part in parts:
        ids = array("q")
        whole = True
        for annotation in part.annotations():
            number = annotation.get("id")
            whole = whole and isinstance(number, int) and abs(number) < 2**62
            ids.append(number if whole and isinstance(number, int) else 0)
        own = np.frombuffer(ids, np.int64) if len(ids) else np.zeros(0, np.int64)
        distinct = np.unique(own)
        keeps = whole and len(distinct) == len(own) and not np.isin(distinct, taken, assume_unique=True).any()
        offset = None if keeps else int(taken.max(initial=0))
        if offset is not None:
            distinct = np.arange(offset + 1, offset + 1 + len(own), dtype=np.int64)
        offsets.append(offset)
        taken = np.concatenate([taken, distinct])
    return offsets
