"""Folders with a file of labels an image, written when a run ends."""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from ..configs import digest
from ..io.atomic import write_file
from .ownership import ImageFiles, content_digest, tell_foreign
from .run_records import ImageResult, RunRecords


class LabelWriter:
    """A folder of labels.

    `<path of the image without its suffix>.<suffix>` stands for each image that did not fail. Of images that differ in
    their suffix alone, all but the first keep it: `a.txt`, `a.png.txt`. Which one an image has stays as it is, whatever
    images come or go later.

    Attributes:
        suffix: of the files.
        folder: where they lie, which is `path` or in it.
        taken: names that no label may have.
        written: labels that `close` wrote, and of which images they are.
    """

    fills_folder = False
    suffix: ClassVar[str]
    taken: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, path: Path, run: RunRecords) -> None:
        self.path, self.run = path, run
        self.folder = path
        self.classes = {category["id"]: number for number, category in enumerate(run.categories)}
        self.names = {category["id"]: str(category["name"]) for category in run.categories}
        self._new: set[str] = set()  # images that had no results before: a label that is there is somebody else's
        self.written: dict[Path, str] = {}

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
        name = result.file_name
        if self.run.knows(name):
            result.files.written.append(self.digest(result))
            self.remove(name, result.files)
            return
        self._new.add(name)
        if not os.path.isfile(next(path for path in self.places_of(name) if path not in self._used)):
            result.files.written.append(self.digest(result))

    def digest(self, result: ImageResult) -> str:
        """Of the label that an image will have, for its `ImageFiles`."""
        name, (width, height) = result.file_name, result.size
        record = {"file_name": name, "width": width, "height": height, "annotations": result.annotations}
        return content_digest(self.suffix, self.label(record, self.places_of(name)[0]))

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """See `Writer`."""
        if file_name in self._earlier:
            files.remove(self._earlier[file_name], self.suffix)

    def has(self, file_name: str) -> bool:
        """Whether an image that had results before has a label."""
        return file_name in self._earlier

    def close(self) -> None:
        """See `Writer`."""
        names = self.run.image_names()
        there = set(names)
        places = {name: path for name, path in self._earlier.items() if name in there}
        used = {*places.values(), *(self.folder / name for name in self.taken)}
        for name in names:
            if name not in places:
                places[name] = next(path for path in self.places_of(name) if path not in used)
                used.add(places[name])
        for record in self.run.records():
            if record["error"] is None:
                self._put(record, places[record["file_name"]])

    def _put(self, record: dict[str, Any], path: Path) -> None:
        """Write the label of an image that has none: one that is there may be corrected, or somebody else's."""
        self.beside(record, path)
        if not path.exists():
            write_file(path, self.label(record, path))
            self.written[path] = record["file_name"]
        elif record["file_name"] in self._new:
            tell_foreign(path)

    @cached_property
    def _used(self) -> set[Path]:
        """Labels that are there, of images that had results before."""
        return {*self._earlier.values(), *(self.folder / name for name in self.taken)}

    @cached_property
    def _earlier(self) -> dict[str, Path]:
        """Where the labels of images are that had results before; the longest name is nobody else's."""
        places: dict[str, Path] = {}
        used: set[Path] = set()
        for name in filter(self.run.knows, self.run.image_names()):
            own = (path for path in reversed(self.places_of(name)) if path not in used and os.path.isfile(path))
            if (path := next(own, None)) is not None:
                places[name] = path
                used.add(path)
        return places

    def beside(self, record: dict[str, Any], path: Path) -> None:
        """Put in place what an image has beside its labels at `path`."""

    def places_of(self, file_name: str) -> list[Path]:
        """Where the label of an image may be, the first that is free."""
        return [self.folder / name for name in self.label_names(file_name)]

    def label_names(self, file_name: str) -> tuple[str, ...]:
        """What the label file of an image may be called."""
        stem = os.path.splitext(file_name)[0]
        return f"{stem}{self.suffix}", f"{file_name}{self.suffix}", f"{file_name}.{digest(file_name)}{self.suffix}"
