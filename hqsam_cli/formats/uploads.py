"""Any format, written to an address: its writer fills a folder here, whose files go on and are forgotten."""

from __future__ import annotations

import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from ..io.address_folder import AddressFolder
from .label_writer import LabelWriter
from .ownership import ImageFiles, content_digest, tell_foreign
from .png import MASK_NAME
from .run_records import ImageResult, RunRecords, Writer


class UploadWriter:
    """See `Writer`.

    What is about all images together is made anew and put in place when a run ends; of labels, those that are not
    there. Labels of images that are not of the run stay, and so do other people's files.

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
        self._labels = format_writer if isinstance(format_writer, LabelWriter) else None
        self._redone: set[str] = set()  # stems of images whose labels changed; those of one stem want the same name
        self._new: set[str] = set()  # images that had no results before

    @property
    def suffix(self) -> str | None:
        """See `Writer`."""
        return self._suffix

    def foreign(self) -> str | None:
        """See `Writer`; whatever is there is one."""
        return self.path if self._folder.names(self._below) else None

    def is_complete(self, file_name: str, count: int) -> bool:
        """See `Writer`; what is there is listed once."""
        if not self.fills_folder:
            return True
        place = f"{self._below}/{file_name}"
        return self._masks[place] >= count if self._suffix is None else f"{place}{self._suffix}" in self._files

    def write(self, result: ImageResult) -> None:
        """See `Writer`."""
        name, files = result.file_name, result.files
        if self._labels is not None:
            files.written.append(self._labels.digest(result))
            self.remove(name, files)
            self._new |= set() if self._run.knows(name) else {name}
        if not self.fills_folder:  # what is no label is made anew in the end
            return
        with TemporaryDirectory(prefix="hqsam-") as here:
            new = ImageFiles()
            self._make(Path(here, self._last), self._run).write(replace(result, files=new))
            made = {name: path.read_bytes() for name, path in _files_below(here)}
        files.written += new.written
        there = [] if files.noted is None and self._suffix is not None else self._pictures_of(name)
        may_go = self._may_go(there, files)
        self._folder.put({name: content for name, content in made.items() if name in may_go or name not in there})
        self._folder.remove(name for name in may_go if name not in made)

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """See `Writer`; the label of an image that had no results is somebody else's."""
        if self.fills_folder:
            self._folder.remove(self._may_go(self._pictures_of(file_name), files))
        elif self._labels is not None and self._run.knows(file_name):
            self._redone.add(_stem(file_name))
            self._remove_labels(file_name, files)

    def close(self) -> None:
        """See `Writer`."""
        if self.fills_folder:
            return
        left = set(self._run.image_names()) if self._redone else ()
        for name in (name for stem in self._redone for name in self._of_stem[stem] if name in left):
            self._remove_labels(name, ImageFiles(self._run.noted(name)))
        with TemporaryDirectory(prefix="hqsam-") as here:
            writer = self._make(Path(here, self._last), self._run)
            writer.close()
            labels = writer.written if isinstance(writer, LabelWriter) else {}
            for name, path in _files_below(here):
                if path not in labels or name not in self._files:
                    self._folder.put_file(name, path)
                elif labels[path] in self._new:
                    tell_foreign(f"{self._folder.address}/{name}")

    def _may_go(self, names: Iterable[str], files: ImageFiles) -> list[str]:
        """Those of objects that are the run's; what is somebody's is noted as kept."""
        names = list(names)
        if files.noted is None:
            return names
        allowed = []
        for name, content in zip(names, self._folder.read(names), strict=True):
            key = posixpath.basename(name) if self._labels is None else self._labels.suffix
            if files.allows(f"{self._folder.address}/{name}", content_digest(key, content)):
                allowed.append(name)
        return allowed

    def _remove_labels(self, file_name: str, files: ImageFiles) -> None:
        """Remove what may be the label of an image, be it that of one with the same stem, which is then put anew."""
        if files.noted is not None:
            noted = (self._run.noted(name) or () for name in self._of_stem[_stem(file_name)])
            files = replace(files, noted=set(files.noted).union(*noted))
        labels = self._may_go(self._labels_of(file_name), files)
        self._folder.remove(labels)
        self._files.difference_update(labels)

    @cached_property
    def _of_stem(self) -> Mapping[str, list[str]]:
        """The images that had results before, by what their labels would be called."""
        images = defaultdict(list)
        for name in filter(self._run.knows, self._run.image_names()):
            images[_stem(name)].append(name)
        return images

    @cached_property
    def _files(self) -> set[str]:
        """What was there when it was first asked for, less what is removed."""
        return set(self._folder.names(self._below))

    @cached_property
    def _masks(self) -> Counter[str]:
        """How many masks there are in each folder."""
        return Counter(posixpath.dirname(name) for name in self._folder.names(self._below) if _is_mask(name))

    def _labels_of(self, file_name: str) -> list[str]:
        """The labels of an image that were there when the run began, whatever they are called."""
        assert self._labels is not None
        names = (f"{self._below}/{name}" for name in self._labels.label_names(file_name))
        return [name for name in names if name in self._files]

    def _pictures_of(self, file_name: str) -> list[str]:
        """The pictures of an image that are there."""
        place = f"{self._below}/{file_name}"
        if self._suffix is not None:
            place = f"{place}{self._suffix}"
            return [name for name in self._folder.names(place) if name == place]
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
