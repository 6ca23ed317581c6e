"""Folders with a file of labels an image, written when a run ends."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, ClassVar

from ..io.atomic import atomic_file
from .run_records import ImageResult, RunRecords

log = logging.getLogger(__name__)


class LabelWriter:
    """A folder of labels.

    `<path of the image without its suffix>.<suffix>` stands for each image that did not fail. Of images that differ in
    their suffix alone, all but the first keep it: `a.txt`, `a.png.txt`.

    Attributes:
        suffix: of the files.
        folder: where they lie, which is `path` or in it.
        taken: names that no label may have.
    """

    fills_folder = False
    suffix: ClassVar[str]
    taken: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, path: Path, run: RunRecords) -> None:
        self.path, self.run = path, run
        self.folder = path
        self.classes = {category["id"]: number for number, category in enumerate(run.categories)}
        self.names = {category["id"]: str(category["name"]) for category in run.categories}
        self._made: set[str] = set()  # images of this run; labels of others may have been corrected by hand since
        self._new: set[str] = set()  # those that had no results before: a label that is there is somebody else's

    def label(self, record: dict[str, Any], path: Path) -> bytes:
        """What the file of an image holds, which will be at `path`."""
        raise NotImplementedError

    def foreign(self) -> Path | None:
        """See `Writer`."""
        return next(self.path.rglob(f"*{self.suffix}"), None)

    def is_complete(self, file_name: str, count: int) -> bool:
        """Always: labels are made of the records."""
        return True

    def write(self, result: ImageResult) -> None:
        """Labels of an earlier run go, so that none stays if this one breaks off; new ones come when it ends."""
        if self.run.knows(result.file_name):
            self.remove(result.file_name)
            self._made.add(result.file_name)
        else:
            self._new.add(result.file_name)

    def remove(self, file_name: str) -> None:
        """See `Writer`."""
        for name in self._label_names(file_name):
            (self.folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """See `Writer`."""
        ours = {path for record, path in self._labels(self._new)} if self._new else set()
        for record, path in self._labels():
            self.beside(record, path)
            if record["file_name"] in self._new and path.exists() and path not in ours:
                log.warning("%s: left as it is, since no run of this tool wrote it", path)
            elif record["file_name"] in self._made | self._new or not path.exists():
                with atomic_file(path) as file:
                    file.write(self.label(record, path))

    def _labels(self, without: Collection[str] = ()) -> Iterator[tuple[dict[str, Any], Path]]:
        """The records of images that did not fail, and where their labels are, if some images were not there."""
        taken = set(self.taken)
        for record in self.run.records():
            if record["error"] is None and record["file_name"] not in without:
                name = next(name for name in self._label_names(record["file_name"]) if name not in taken)
                taken.add(name)
                yield record, self.folder / name

    def beside(self, record: dict[str, Any], path: Path) -> None:
        """Put in place what an image has beside its labels at `path`."""

    def _label_names(self, file_name: str) -> tuple[str, ...]:
        """What the label file of an image may be called."""
        return f"{os.path.splitext(file_name)[0]}{self.suffix}", f"{file_name}{self.suffix}"
