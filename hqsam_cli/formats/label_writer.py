"""Folders with a file of labels an image, written when a run ends."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ..configs import digest
from ..io.output_folder import open_folder
from ..records import Category, ImageRecord
from .ownership import ImageFiles, content_digest, tell_foreign
from .run_records import RunRecords


class LabelWriter:
    """A folder of labels.

    `<path of the image without its suffix>.<suffix>` stands for each image that did not fail. Of images that differ in
    their suffix alone, all but the first keep it: `a.txt`, `a.png.txt`. Which one an image has stays as it is, whatever
    images come or go later.

    Args:
        folder: where the labels lie, a path or an address.
        categories: of the results.

    Attributes:
        path: the folder that people look for.
        suffix: of the files.
        taken: names that no label may have.
        written: names of the labels that `close` wrote.
    """

    suffix: ClassVar[str]
    taken: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, folder: Path | str, categories: list[Category]) -> None:
        self.path = folder
        self.folder = open_folder(folder)
        self.number(categories)
        self.written: list[str] = []
        self._earlier: dict[str, str] = {}  # names of labels by images, of those that had results before
        self._used: set[str] = set()  # these names
        self._new: set[str] = set()  # images that had none: a label that is there is somebody else's

    def number(self, categories: list[Category]) -> None:
        """Number classes as a list of categories has them."""
        self.classes = {category["id"]: number for number, category in enumerate(categories)}
        self.names = {category["id"]: str(category["name"]) for category in categories}

    def label(self, record: ImageRecord, place: str) -> bytes:
        """What the file of an image holds, which will be at `place`."""
        raise NotImplementedError

    def beside(self, record: ImageRecord, name: str) -> None:
        """Put in place what an image has beside its label."""

    def foreign(self) -> str | None:
        """A label that is there, for those who know that no run wrote it."""
        return next((self.folder.place(name) for name in sorted(self._there) if name.endswith(self.suffix)), None)

    def begin(self, known: Iterable[str]) -> None:
        """Find the labels of images that have results, in their order; the longest name is nobody else's."""
        for image in known:
            names = reversed(self.label_names(image))
            own = (name for name in names if name in self._there and name not in self._used)
            if (name := next(own, None)) is not None:
                self._earlier[image] = name
                self._used.add(name)

    def has(self, file_name: str) -> bool:
        """Whether an image that had results before has a label."""
        return file_name in self._earlier

    def note(self, record: ImageRecord, files: ImageFiles, *, is_new: bool) -> None:
        """Note what the label of an image will be; that of an earlier run goes, lest it stays if this one breaks off.

        Args:
            is_new: the image had no results before.
        """
        name = self._earlier.get(record.file_name) or self._free_name(record.file_name)
        if is_new:
            self._new.add(record.file_name)
        if not is_new or name not in self._there:
            files.written.append(content_digest(self.suffix, self.label(record, self.folder.place(name))))
        if not is_new and name in self._there:
            self._there.difference_update(files.remove(self.folder, [name], self.suffix))

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """Remove the label of an image that had results before and has none any more, unless somebody edited it."""
        name = self._earlier.pop(file_name, None)
        if name is not None:
            self._used.discard(name)
            self._there.difference_update(files.remove(self.folder, [name], self.suffix))

    def close(self, run: RunRecords) -> None:
        """Write the labels of images that have none: one that is there may be corrected, or somebody else's."""
        for record in run.records():
            if record.failure is not None:
                continue
            name = self._earlier.get(record.file_name) or self._free_name(record.file_name)
            self._used.add(name)
            self.beside(record, name)
            if name not in self._there:
                self.folder.put({name: self.label(record, self.folder.place(name))})
                self.written.append(name)
            elif record.file_name in self._new:
                tell_foreign(self.folder.place(name))

    def _free_name(self, file_name: str) -> str:
        names = self.label_names(file_name)
        return next(name for name in names if name not in self._used and name not in self.taken)

    @cached_property
    def _there(self) -> set[str]:
        """What there is in the folder."""
        return set(self.folder.names())

    def label_names(self, file_name: str) -> tuple[str, ...]:
        """What the label of an image may be called, the first that is free."""
        stem = os.path.splitext(file_name)[0]
        return f"{stem}{self.suffix}", f"{file_name}{self.suffix}", f"{file_name}.{digest(file_name)}{self.suffix}"
