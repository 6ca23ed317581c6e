"""Checks of the entries of results: what belongs to no image or category, or to several, is left out.

Ids are normalized as by `identifier`. Annotation ids become unique and positive: where they repeat, pycocotools answers
with the mask of another image, and it counts a match with an annotation of id 0 as a miss.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

import numpy as np

from ..formats.coco import image_name
from ..formats.values import Identifier, JsonObject, identifier, integer, short
from ..records import Annotation, Category, CocoImage
from .problems import Problems

LARGEST = 2**62  # annotation ids below it are kept, so that new ones fit 64 bits
CATEGORY_NAMES = ("category", "category_name")  # keys of annotations
Size: TypeAlias = tuple[int, int] | None
Entries: TypeAlias = Callable[[], Iterable[Any]]


def size_of(entry: Any) -> Size:
    """(width, height) of an image entry in pixels."""
    width, height = (integer(entry.get(key)) or 0 for key in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None


def differ(size: Size, other: Size) -> bool:
    """Whether two sizes are known and not equal."""
    return None not in (size, other) and size != other


def two_sizes(name: str, size: Size, before: Size) -> str:
    """The known sizes of an image, for messages."""
    assert size is not None and before is not None
    return f"{name} is {size[0]} x {size[1]} pixels, before {before[0]} x {before[1]}"


@dataclass(slots=True)
class _Images:
    """Ids of images.

    Attributes:
        ids: of images that are kept, by the ids of their entries.
        ambiguous: ids of entries that are left out.
        sizes: of images whose first entry has none.
    """

    ids: dict[Identifier, Identifier] = field(default_factory=dict)
    ambiguous: set[Identifier] = field(default_factory=set)
    sizes: dict[Identifier, tuple[int, int]] = field(default_factory=dict)

    def read(self, entries: Iterable[Any], problems: Problems) -> None:
        """Assign ids: entries of one name are one image, unless they differ in size."""
        listed: dict[Identifier, tuple[str, Size]] = {}
        for number, entry in enumerate(entries, 1):
            key = identifier(entry.get("id")) if isinstance(entry, dict) else None
            name = None if key is None else image_name(entry)
            if key is None or name is None:
                problems.add("images without an id or a file_name, left out", f"entry {number}")
                continue
            size = size_of(entry)
            known, known_size = listed.setdefault(key, (name, size))
            if known != name or differ(known_size, size):
                text = f"{key} is {known} and {name}" if known != name else two_sizes(name, size, known_size)
                problems.add("image ids of several images, left out", text)
                self.ambiguous.add(key)
            elif known_size is None and size is not None:
                listed[key], self.sizes[key] = (name, size), size
        first: dict[str, tuple[Identifier, Size]] = {}
        for key, (name, size) in listed.items():
            if key in self.ambiguous:
                continue
            own, own_size = first.setdefault(name, (key, size))
            if differ(own_size, size):
                what = "images of another size than an earlier one of that name, left out"
                problems.add(what, two_sizes(name, size, own_size))
                self.ambiguous.add(key)
                continue
            if own != key:
                problems.add("images listed again with another id, joined", name)
            if own_size is None and size is not None:
                first[name], self.sizes[own] = (own, size), size
            self.ids[key] = own

    def entries(self, entries: Iterable[Any]) -> Iterator[CocoImage]:
        """Yield each image once, with the size from any of its entries."""
        left = set(self.ids.values())
        for entry in entries:
            key = identifier(entry.get("id")) if isinstance(entry, dict) else None
            if key in left:
                left.remove(key)
                size = dict(zip(("width", "height"), self.sizes.get(key, ()), strict=False))
                yield cast(CocoImage, {**entry, "id": key, "file_name": image_name(entry), **size})


@dataclass(slots=True)
class _Categories:
    """Ids of categories.

    Attributes:
        are_listed: whether the file lists categories; otherwise they are those of its annotations.
        ids: by the category id of an annotation, and the name beside it if no categories are listed.
        named: names by category id, in annotations of a file without a list.
    """

    categories: list[Category] = field(default_factory=list)
    are_listed: bool = False
    ids: dict[tuple[Identifier | None, str | None], Identifier] = field(default_factory=dict)
    named: dict[Identifier | None, dict[str, None]] = field(default_factory=dict)

    def read(self, entries: Iterable[Any], problems: Problems) -> None:
        """Read the list of categories; ids of several are left out."""
        listed: dict[Identifier, Category] = {}
        ambiguous: dict[Identifier, str] = {}
        for number, entry in enumerate(entries, 1):
            self.are_listed = True
            key = identifier(entry.get("id")) if isinstance(entry, dict) else None
            if key is None:
                problems.add("categories without an id, left out", f"entry {number}")
                continue
            own = cast(Category, {**entry, "id": key, "name": str(entry.get("name") or f"category {key}")})
            if (known := listed.setdefault(key, own)["name"]) != own["name"]:
                ambiguous[key] = f"{key} is {known} and {own['name']}"
        for key, text in ambiguous.items():
            problems.add("category ids of several categories, left out", text)
            del listed[key]
        self.categories = list(listed.values())
        self.ids = {(key, None): key for key in listed}

    def key(self, entry: JsonObject) -> tuple[Identifier | None, str | None]:
        """The key in `ids` of an annotation."""
        texts = (entry.get(key) for key in CATEGORY_NAMES)
        name = None if self.are_listed else next((text for text in texts if isinstance(text, str)), None)
        return identifier(entry.get("category_id")), name

    def note(self, entry: JsonObject) -> None:
        """Collect the category of an annotation of a file without a list."""
        number, name = self.key(entry)
        self.named.setdefault(number, {}).update({} if name is None else {name: None})

    def complete(self, problems: Problems) -> None:
        """Make the list of a file without one; a further name of an id becomes a category of its own."""
        numbers = sorted((n for n in self.named if n is not None), key=lambda n: (isinstance(n, str), n))
        by_name: dict[str, Identifier] = {}
        for number in numbers:
            names = list(self.named[number])
            name = names[0] if names else f"category {number}"
            self._append(number, name)
            by_name.setdefault(name, number)
            self.ids |= {(number, None): number, (number, name): number}
            if names[1:]:
                problems.add("category ids with several names, replaced", f"{number} is {' and '.join(names)}")
        free = max((number for number in numbers if isinstance(number, int)), default=0) + 1
        for key in ((number, name) for number, names in self.named.items() for name in names):
            if key not in self.ids:
                if key[1] not in by_name:
                    by_name[key[1]], free = free, free + 1
                    self._append(by_name[key[1]], key[1])
                self.ids[key] = by_name[key[1]]

    def _append(self, number: Identifier, name: str) -> None:
        self.categories.append(cast(Category, {"id": number, "name": name}))


class CheckedEntries:
    """The entries of results, without those that cannot be attributed, and with unique ids.

    The ids are read when it is created: one pass over the images, and one over the annotations.

    Args:
        images, annotations: open a stream of entries, not validated.
        categories: entries, not validated; if there are none, categories are those named by annotations.
        is_list: whether the annotations are a COCO results list, which lists no images and categories, and which
            readers number.
        problems: receives the entries that are left out or get another id.

    Attributes:
        categories: COCO categories.
    """

    def __init__(
        self, images: Entries, annotations: Entries, categories: Iterable[Any], problems: Problems, *, is_list: bool
    ) -> None:
        self._image_entries, self._annotation_entries, self._is_list = images, annotations, is_list
        self._images, self._categories = _Images(), _Categories()
        if not is_list:
            self._images.read(images(), problems)
            self._categories.read(categories, problems)
        ids = self._read_annotations(problems)
        self._categories.complete(problems)
        self.categories = self._categories.categories
        self._last = int(ids.max(initial=0))
        self._renumbered = _repeated(ids)
        for place in self._renumbered[ids[self._renumbered] > 0]:
            problems.add("annotation ids that repeat, replaced", f"id {ids[place]}")

    def images(self) -> Iterator[CocoImage]:
        """Yield each image once."""
        return self._images.entries(self._image_entries())

    def annotations(self) -> Iterator[Annotation]:
        """Yield the annotations of known images and categories."""
        kept = (own for n, own in enumerate(self._annotation_entries(), 1) if self._reason(n, own) is None)
        if self._is_list:
            yield from kept
            return
        places, new = iter(self._renumbered), self._last
        place = next(places, None)
        for number, entry in enumerate(kept):
            own: JsonObject = {**entry, "id": identifier(entry.get("id"))}
            own["image_id"] = self._images.ids[cast(Identifier, identifier(entry["image_id"]))]
            if (category := self._categories.ids.get(self._categories.key(entry))) is not None:
                own["category_id"] = category
            if number == place:
                place, new = next(places, None), new + 1
                own["id"] = new
            yield cast(Annotation, own)

    def _read_annotations(self, problems: Problems) -> np.ndarray:
        """Collect categories, and the ids of the annotations that are kept, int64; 0 if invalid or missing."""
        ids = array("q")
        for number, entry in enumerate(self._annotation_entries(), 1):
            if (reason := self._reason(number, entry)) is not None:
                problems.add(*reason)
            elif not self._is_list:
                if not self._categories.are_listed:
                    self._categories.note(entry)
                own = max(integer(entry.get("id"), LARGEST) or 0, 0)
                if not own and entry.get("id") is not None:
                    problems.add("annotation ids that are not positive integers, replaced", f"id {short(entry['id'])}")
                ids.append(own)
        return np.asarray(ids, np.int64)

    def _reason(self, number: int, entry: Any) -> tuple[str, str] | None:
        """Why an annotation is left out, and its place in the file; None if it is kept."""
        image = identifier(entry.get("image_id")) if isinstance(entry, dict) else None
        if image is None:
            return "annotations without image_id, left out", f"entry {number}"
        given = entry.get("category_id")
        category = identifier(given)
        if category is None and given is not None:
            reason = "annotations with an invalid category_id, left out"
        elif self._is_list:
            return None
        elif image in self._images.ambiguous:
            reason = "annotations of images that are left out, left out too"
        elif image not in self._images.ids:
            reason = "annotations of images that are not listed, left out"
        elif category is not None and self._categories.are_listed and (category, None) not in self._categories.ids:
            reason = "annotations of categories that are not listed, left out"
        else:
            return None
        where = f"entry {number}" if entry.get("id") is None else f"annotation {short(entry['id'])}"
        return reason, f"{where}, image_id {image}, category_id {short(given)}"


def _repeated(ids: np.ndarray) -> np.ndarray:
    """Indices of the ids that are 0 or repeat an earlier one, in order."""
    if not len(ids) or (ids[0] > 0 and (np.diff(ids) > 0).all()):  # usual, and in less memory
        return np.zeros(0, np.int64)
    order = np.argsort(ids, kind="stable")
    repeats = np.flatnonzero(np.diff(ids[order]) == 0) + 1
    return np.union1d(order[repeats], np.flatnonzero(ids == 0))
