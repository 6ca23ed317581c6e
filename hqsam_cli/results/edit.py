"""Merge, filter, split and renumber results, lazily while the output is written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from ..batch.object_journal import journal_contents
from ..errors import UsageError
from ..formats.values import number_or_none, read_numbers
from ..io.digest import hash_fraction
from ..records import Annotation, Category, CocoImage
from .check import Size, differ, size_of, two_sizes
from .stream import Results


@dataclass(frozen=True, slots=True)
class Choice:
    """Which images and annotations are kept; None keeps all.

    Attributes:
        score_threshold: minimum score; annotations without a score are kept.
        categories: category names.
        min_area, max_area: in pixels.
        files: image names.
        ids, dropped: annotation ids that are kept, and that are not.
    """

    score_threshold: float | None = None
    categories: frozenset[str] | None = None
    min_area: float | None = None
    max_area: float | None = None
    files: frozenset[str] | None = None
    ids: frozenset[int] | None = None
    dropped: frozenset[int] = frozenset()


def choose(results: Results, choice: Choice) -> Results:
    """Filter results. Selected images are kept even if no annotation is left.

    Raises:
        UsageError: a category or all ids are unknown, or images or categories are selected in a results list, which
            has no names.
    """
    if results.kind == "COCO results" and (choice.files is not None or choice.categories is not None):
        raise UsageError("a COCO results list has no names", remedy="pass COCO instances, or omit names")
    names = {category["id"]: str(category["name"]) for category in results.categories}
    if unknown := sorted((choice.categories or frozenset()) - set(names.values())):
        known = ", ".join(sorted(set(names.values()))) or "none"
        raise UsageError("no such category", option="categories", value=unknown[0], remedy=f"there are {known}")
    named = (choice.ids or frozenset()) | choice.dropped
    if named and named.isdisjoint(annotation.get("id") for annotation in results.annotations()):
        raise UsageError("has none of the annotation ids", file=results.path, remedy="pass marks of these results")
    numbers = {number for number, name in names.items() if choice.categories is None or name in choice.categories}

    def stays(annotation: Annotation) -> bool:
        score = number_or_none(annotation.get("score"))
        return (
            (choice.score_threshold is None or score is None or score >= choice.score_threshold)
            and (choice.categories is None or annotation.get("category_id") in numbers)
            and (choice.ids is None or annotation.get("id") in choice.ids)
            and annotation.get("id") not in choice.dropped
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
    if (own := number_or_none(annotation.get("area"))) is not None:
        return own
    box = read_numbers(annotation.get("bbox"), 4)
    return 0.0 if box is None else box[2] * box[3]


def split(
    results: Results, fractions: Mapping[str, float], seed: int, group_by: re.Pattern[str] | None = None
) -> dict[str, Results]:
    """Split results by image name only, so that the part of an image does not depend on other images.

    Args:
        fractions: fraction of each part; they sum to 1.
        group_by: images whose names have the same first group of this pattern, or the same match, are kept together;
            others are groups of their own.

    Raises:
        UsageError: the pattern matches no name.
    """
    if group_by is not None and not any(map(group_by.search, _names(results))):
        raise UsageError("matches no image name", option="group_by", value=group_by.pattern, remedy="fix the pattern")

    def group_of(name: str) -> str:
        match = None if group_by is None else group_by.search(name)
        return name if match is None else (match[1] if match.re.groups else match[0]) or match[0] or name

    def part_of(name: str) -> str:
        place, total = hash_fraction(f"{seed}/{group_of(name)}"), 0.0
        for part, fraction in fractions.items():
            total += fraction
            if place < total:
                return part
        return part

    def is_in(part: str) -> Callable[[str], bool]:
        return lambda name: part_of(name) == part

    return {part: of_images(results, is_in(part)) for part in fractions}


def _names(results: Results) -> Iterator[str]:
    """Names of the images; their ids in a results list."""
    if results.kind == "COCO results":
        return (str(annotation["image_id"]) for annotation in results.annotations())
    return (image["file_name"] for image in results.images())


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
    """Merge results; images with equal names or, of runs, equal paths are merged, and categories with equal names.

    Ids are kept if possible: an image id already used by another image is replaced, and all annotation ids of a file if
    one is already used by an earlier file. An image that differs in size from that of an earlier file is left out.

    Raises:
        UsageError: results lists are mixed with other formats.
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
    image_ids = [] if True in is_list else _image_ids(parts)
    offsets = [] if True in is_list else _offsets(parts)

    def images() -> Iterator[CocoImage]:
        seen: set[int] = set()
        for part, ids in zip(parts, image_ids, strict=True):
            for image in part.images():
                new = ids.get(image["id"])
                if new is not None and new not in seen:
                    seen.add(new)
                    yield {**image, "id": new}

    def annotations() -> Iterator[Annotation]:
        for part, own, ids, offset in zip(parts, numbers, image_ids, offsets, strict=True):
            for place, annotation in enumerate(part.annotations(), 1):
                image_id, category = ids.get(annotation["image_id"]), annotation.get("category_id")
                if image_id is None:
                    continue
                changed: Annotation = {**annotation, "image_id": image_id}
                if category is not None:
                    changed["category_id"] = own[category]
                if offset is not None:
                    changed["id"] = offset + place
                yield changed

    def entries() -> Iterator[Annotation]:
        return (own for part in parts for own in part.annotations())

    return replace(
        parts[0],
        categories=list(categories.values()),
        images=images,
        annotations=entries if True in is_list else annotations,
        problems=tuple(own for part in parts for own in part.problems),
    )


def _image_ids(parts: Sequence[Results]) -> list[dict[int, int]]:
    """For each part, new image ids by those of its images, without images of another size than in an earlier part."""
    known: dict[str, tuple[int, Size]] = {}
    first_names: dict[str, str] = {}  # by path, which runs know; a run of listed files names them otherwise
    taken: set[int] = set()
    found = []
    free = 1
    for part in parts:
        new: dict[int, int] = {}
        entries = {} if part.journal is None else journal_contents(part.journal).entries
        for image in part.images():
            name, number, size = image["file_name"], image["id"], size_of(image)
            if name in entries:
                name = first_names.setdefault(entries[name].path or name, name)
            if name not in known:
                while number in taken:
                    number, free = free, free + 1
                taken.add(number)
                known[name] = number, size
            own, known_size = known[name]
            if differ(known_size, size):
                what = "images of another size than in an earlier file, left out"
                part.problems[0].add(what, two_sizes(name, size, known_size))
                continue
            if known_size is None:
                known[name] = own, size
            new[image["id"]] = own
        found.append(new)
    return found


def _offsets(parts: Sequence[Results]) -> list[int | None]:
    """For each part, the offset added to 1-based annotation indices, or None if ids are kept."""
    taken = np.zeros(0, np.int64)
    offsets: list[int | None] = []
    for part in parts:
        ids = np.fromiter((annotation["id"] for annotation in part.annotations()), np.int64)
        offset = int(taken.max(initial=0)) if np.isin(ids, taken).any() else None
        if offset is not None:
            ids = np.arange(offset + 1, offset + 1 + len(ids), dtype=np.int64)
        offsets.append(offset)
        taken = np.concatenate([taken, ids])
    return offsets
