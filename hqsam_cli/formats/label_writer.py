"""Folders with one label file per image, written at the end of a run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from ..configs import digest
from ..io.copies import below
from ..io.output_folder import ImageFiles, digest_of, open_folder
from ..records import Category, ImageRecord
from .coco import RunRecords
from .ownership import tell_foreign


class LabelWriter:
    """A folder of label files.

    `<path of the image without its suffix>.<suffix>` is written for each image that did not fail. Of images that differ
    only in their suffix, all but the first keep it: `a.txt`, `a.png.txt`. The label name of an image never changes,
    even if other images are added or removed.

    Args:
        output: path or URL of the output folder; of the labels themselves for a format without a `name`.
        categories: of the results.

    Attributes:
        name: of the folder of labels in the output.
        path: folder shown to the user.
        suffix: suffix of the label files.
        taken: reserved file names.
        written: label files written by `close`.
    """

    name: ClassVar[str] = ""
    suffix: ClassVar[str]
    taken: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, output: Path | str, categories: list[Category]) -> None:
        self.path = below(output, self.name) if self.name else output
        self.folder = open_folder(self.path)
        self.number(categories)
        self.written: list[str] = []
        self._earlier: dict[str, str] = {}  # label names by image, for images with results of an earlier run
        self._used: set[str] = set()  # label names in use
        self._new: set[str] = set()  # images without earlier results: an existing label was not written by a run

    def number(self, categories: list[Category]) -> None:
        """Number classes by their order in a list of categories."""
        self.classes = {category["id"]: number for number, category in enumerate(categories)}
        self.names = {category["id"]: str(category["name"]) for category in categories}

    def label(self, record: ImageRecord, place: str) -> bytes:
        """The content of the label file of an image, to be written to `place`."""
        raise NotImplementedError

    def beside(self, record: ImageRecord, name: str) -> None:
        """Write other files that belong to the label of an image."""

    def foreign(self) -> str | None:
        """An existing label file, to report if no run wrote it; None if there is none."""
        return next((self.folder.place(name) for name in sorted(self._there) if name.endswith(self.suffix)), None)

    def begin(self, known: Iterable[str]) -> None:
        """Find the labels of images with earlier results, in order; unique names are tried first."""
        for image in known:
            names = reversed(self.label_names(image))
            own = (name for name in names if name in self._there and name not in self._used)
            if (name := next(own, None)) is not None:
                self._earlier[image] = name
                self._used.add(name)

    def has(self, file_name: str) -> bool:
        """Whether an image with earlier results has a label file."""
        return file_name in self._earlier

    def note(self, record: ImageRecord, files: ImageFiles, *, is_new: bool) -> None:
        """Record the digest of a new label, and remove the old one, so that an aborted run leaves no outdated label.

        Args:
            is_new: the image has no earlier results.
        """
        name = self._earlier.get(record.file_name) or self._free_name(record.file_name)
        if is_new:
            self._new.add(record.file_name)
        if not is_new or name not in self._there:
            content = self.label(record, self.folder.place(name))
            files.written.append(digest_of(self.suffix, hashlib.sha256(content).hexdigest()))
        if not is_new and name in self._there:
            self._there.difference_update(files.remove(self.folder, [name], self.suffix))

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """Remove the label of an image without results in this run, unless it was edited by hand."""
        name = self._earlier.pop(file_name, None)
        if name is not None:
            self._used.discard(name)
            self._there.difference_update(files.remove(self.folder, [name], self.suffix))

    def close(self, run: RunRecords) -> None:
        """Write missing labels; existing ones are kept, as they may be edited by hand or not written by a run."""
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
        """Names of existing files in the folder."""
        return set(self.folder.names())

    def label_names(self, file_name: str) -> tuple[str, ...]:
        """Candidate names for the label of an image; the first free one is used."""
        stem = os.path.splitext(file_name)[0]
        return f"{stem}{self.suffix}", f"{file_name}{self.suffix}", f"{file_name}.{digest(file_name)}{self.suffix}"
