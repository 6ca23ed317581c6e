"""Categories of several files, merged into one list with integer ids, as COCO readers require."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ..formats.values import LARGEST_ID, UNNAMED, FileCategory, Identifier, integer
from ..records import Category
from .prompt_file import FileAnnotation, PromptFile

DEFAULT_CATEGORY: Category = {"id": 1, "name": UNNAMED}


class Categories:
    """One list of categories for all files of a run, merged by name, not by id.

    Integer ids are kept. A category without one, or with one already used by another category, gets a new id.

    Args:
        files: the prompt files.
        known: categories of results that stay; categories of the same name have their ids.
    """

    def __init__(self, files: Sequence[PromptFile], known: Sequence[Category] = ()) -> None:
        self.listed: list[Category] = []
        self._by_id: dict[int, Category] = {}
        self._by_name: dict[str, Category] = {}
        self._files: list[dict[Identifier, int]] = []
        named = [category["id"] for file in files for category in file.categories]
        used = [a.category for file in files for a in file.annotations]
        self._reserved = {n for n in (*named, *used) if isinstance(n, int) and n < LARGEST_ID}
        for category in known:
            self._add(category)
        self._known = frozenset(self._by_name)
        for file in files:
            self._files.append({c["id"]: self._listed(c) for c in file.categories})
        self._count = len(self.listed)
        self._usual = {n for own in self._files for n in own.values()} or {own["id"] for own in known}
        self.unnamed: list[dict[str, None]] = [{} for _ in files]  # classes without a name, for each file

    def number(self, file: int, annotation: FileAnnotation) -> int:
        """The category id of an annotation of the n-th file."""
        key, name = annotation.category, annotation.category_name
        known = self._files[file]
        if key is None:
            return self.default() if name is None else self._named(name)
        if key not in known and isinstance(key, int) and name is None:
            self.unnamed[file][f"category {key}"] = None
        if known:
            if key in known:
                return known[key]
            return self._named(key) if isinstance(key, str) else self._numbered(key, name)
        # NDJSON lists no categories, but its annotations may have id and name.
        if isinstance(key, str):
            return self._named(name or key)
        return self._numbered(key, name)

    def complete(self) -> list[Category]:
        """All categories, at least one: those listed by files in order, then others by id."""
        rest = sorted(self.listed[self._count :], key=lambda category: category["id"])
        return [*self.listed[: self._count], *rest] or [DEFAULT_CATEGORY]

    def default(self) -> int:
        """The category id of prompts without one: the only category of the files, or of the results, else another."""
        if len(self._usual) == 1:
            return next(iter(self._usual))
        return self._named(UNNAMED, 1)

    def _numbered(self, number: int, name: str | None) -> int:
        known = self._by_id.get(number)
        if known is not None and name in (None, known["name"]):
            return number
        if name is None:
            name = UNNAMED if number == DEFAULT_CATEGORY["id"] else f"category {number}"
        return self._named(name, number)

    def _named(self, name: str, number: int | None = None) -> int:
        """The category id of a name; if new, `number` if it is free."""
        if name not in self._by_name:
            self._add(
                {"id": number if number is not None and number not in self._by_id else self._free(), "name": name}
            )
        return int(self._by_name[name]["id"])

    def _listed(self, category: FileCategory) -> int:
        """The category id of an entry of a file's list."""
        number, name = integer(category["id"]), category["name"]
        known = self._by_name.get(name)
        if known is not None and (
            name in self._known or number is None or known["id"] == number or number in self._by_id
        ):
            return int(known["id"])
        if number is None or number in self._by_id:
            number = self._free()
        self._add(cast(Category, {**category, "id": number}))
        return number

    def _add(self, category: Category) -> None:
        self.listed.append(category)
        self._by_id[category["id"]] = category
        self._by_name.setdefault(category["name"], category)

    def _free(self) -> int:
        taken = self._reserved | self._by_id.keys()
        return max(taken, default=0) + 1


def renumber_categories(own: Sequence[Category], known: Sequence[Category]) -> list[Category]:
    """The categories of a detector, in their order, with the ids and names of known ones; new names get higher ids.

    Names are compared without case. Without known categories, nothing changes.
    """
    if not known:
        return list(own)
    by_name = {category["name"].casefold(): category for category in known}
    last = max(category["id"] for category in known)
    renumbered = []
    for category in own:
        same = by_name.get(category["name"].casefold())
        last += same is None
        new = {"id": last} if same is None else {"id": same["id"], "name": same["name"]}
        renumbered.append(cast(Category, {**category, **new}))
    return renumbered
