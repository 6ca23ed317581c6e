"""Any format, written to an address: its writer fills a folder here, whose files go on and are forgotten."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from ..io.address_folder import AddressFolder
from .label_writer import LabelWriter
from .png import MASK_NAME
from .run_records import ImageResult, RunRecords, Writer


class UploadWriter:
    """See `Writer`.

    What is about all images together is made anew and put in place when a run ends, files of labels among it. Labels
    of images that are not of the run stay, and so do other people's files.

    Args:
        make: the writer of the format, for a folder or the path of what is one file.
        output: the address for that folder or file.
    """

    def __init__(self, make: Callable[[Path, RunRecords], Writer], output: str, run: RunRecords) -> None:
        self._make, self._run = make, run
        above, self._last = split_address(output)
        self._folder = AddressFolder(above)
        format_writer = make(Path(self._last), run)
        self.fills_folder = format_writer.fills_folder
        self._below = format_writer.path.as_posix()
        self._suffix = format_writer.suffix
        self.path = f"{above}/{self._below}"
        self._label_names = format_writer.label_names if isinstance(format_writer, LabelWriter) else lambda _: ()
        self._redone: set[str] = set()  # stems of images whose labels changed; those of one stem want the same name

    def foreign(self) -> str | None:
        """See `Writer`; whatever is there is one."""
        return self.path if self._folder.names(self._below) else None

    def is_complete(self, file_name: str, count: int) -> bool:
        """See `Writer`; what is there is listed once."""
        if not self.fills_folder:
            return True
        place = f"{self._below}/{file_name}"
        return self._masks[place] == count if self._suffix is None else f"{place}{self._suffix}" in self._files

    def write(self, result: ImageResult) -> None:
        """See `Writer`."""
        if not self.fills_folder:  # all is made anew in the end
            if self._run.knows(result.file_name):
                self._redone.add(_stem(result.file_name))
            return
        with TemporaryDirectory(prefix="hqsam-") as here:
            self._make(Path(here, self._last), self._run).write(result)
            made = {name: path.read_bytes() for name, path in _files_below(here)}
        self._folder.put(made)
        if self._suffix is None:
            self._folder.remove(name for name in self._masks_of(result.file_name) if name not in made)

    def remove(self, file_name: str) -> None:
        """See `Writer`; the label of an image that had no results is somebody else's."""
        if not self.fills_folder:
            if self._suffix is not None and self._run.knows(file_name):
                self._redone.add(_stem(file_name))
                self._folder.remove(self._labels_of(file_name))
            return
        place = f"{self._below}/{file_name}"
        self._folder.remove(self._masks_of(file_name) if self._suffix is None else [f"{place}{self._suffix}"])

    def close(self) -> None:
        """See `Writer`."""
        if self.fills_folder:
            return
        with TemporaryDirectory(prefix="hqsam-") as here:
            self._make(Path(here, self._last), self._run).close()
            made = dict(_files_below(here))
            for name, path in made.items():
                self._folder.put_file(name, path)
        if self._suffix is not None and self._redone:
            names = (record["file_name"] for record in self._run.records())
            labels = [label for name in names if _stem(name) in self._redone for label in self._labels_of(name)]
            self._folder.remove(label for label in labels if label not in made)

    @cached_property
    def _files(self) -> frozenset[str]:
        return frozenset(self._folder.names(self._below))

    @cached_property
    def _masks(self) -> Counter[str]:
        """How many masks there are in each folder."""
        return Counter(posixpath.dirname(name) for name in self._folder.names(self._below) if _is_mask(name))

    def _labels_of(self, file_name: str) -> list[str]:
        """What the label of an image may be called."""
        return [f"{self._below}/{name}" for name in self._label_names(file_name)]

    def _masks_of(self, file_name: str) -> list[str]:
        place = f"{self._below}/{file_name}"
        return [name for name in self._folder.names(place) if posixpath.dirname(name) == place and _is_mask(name)]


AnyWriter: TypeAlias = Writer | UploadWriter


def writer_to(output: Path | str, make: Callable[[Path, RunRecords], Writer], run: RunRecords) -> AnyWriter:
    """The writer of a format for a folder or a file, or for the address of one."""
    return make(output, run) if isinstance(output, Path) else UploadWriter(make, output, run)


def _files_below(folder: str) -> Iterator[tuple[str, Path]]:
    """Every file below a folder, with its name there."""
    return ((path.relative_to(folder).as_posix(), path) for path in Path(folder).rglob("*") if path.is_file())


def _stem(file_name: str) -> str:
    return posixpath.splitext(file_name)[0]


def _is_mask(name: str) -> bool:
    return MASK_NAME.fullmatch(posixpath.basename(name)) is not None


def split_address(address: str) -> tuple[str, str]:
    """The address of the folder that something is in, and its name there; a bucket is in none."""
    protocol, _, rest = address.rstrip("/").partition("://")
    above, _, last = rest.rpartition("/")
    return (f"{protocol}://{above}", last) if above.strip("/") else (f"{protocol}://{rest}", "")
