"""The output folder, local or at a URL, behind one interface, and which of its files a run may replace."""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import shutil
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from .address_folder import AddressFolder
from .atomic import atomic_file, write_file
from .digest import file_digest

NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)
LENGTH = 16  # hexadecimal digits of a digest
OF_NAME = 6  # of them, those that identify the name


class LocalFolder:
    """A local folder; names in it are relative, with `/`."""

    at_once = 1  # files written per call of `put`

    def __init__(self, path: Path) -> None:
        self.path = path

    def place(self, name: str) -> str:
        """The path of a file."""
        return str(self.path / name)

    def names(self, below: str = "") -> set[str]:
        """Names of all files below this folder, or a subfolder."""
        root = self.path / below
        return {
            Path(folder, name).relative_to(self.path).as_posix() for folder, _, files in os.walk(root) for name in files
        }

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """SHA-256 of existing files by name, 64 digits; "" for unreadable files."""
        found = {}
        for name in names:
            if os.path.isfile(path := self.path / name):
                try:
                    found[name] = file_digest(path)
                except OSError:
                    found[name] = ""
        return found

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write files, each atomically; raises an OSError if one cannot be written."""
        for name, content in files.items():
            with atomic_file(self.path / name) as file:
                file.write(content)

    def take(self, name: str, source: OutputFolder) -> None:
        """Add a file of another folder, as a hard link if supported; an existing one is kept."""
        target = self.path / name
        if target.exists():
            return
        if isinstance(source, RemoteFolder):
            write_file(target, source.read([name])[0])
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source.path / name, target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            shutil.copy2(source.path / name, target, follow_symlinks=False)

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, and their subfolder if it becomes empty; raises an OSError if one cannot be removed."""
        for name in names:
            path = self.path / name
            path.unlink(missing_ok=True)
            if path.parent != self.path:
                with suppress(OSError):  # not empty
                    path.parent.rmdir()


class RemoteFolder(AddressFolder):
    """A folder at a URL; see `LocalFolder`, but methods raise an HqsamError as in `AddressFolder`."""

    at_once = 16

    def place(self, name: str) -> str:
        """The URL of an object."""
        return f"{self.address}/{name}"

    def take(self, name: str, source: OutputFolder) -> None:
        """See `LocalFolder`."""
        if isinstance(source, LocalFolder):
            self.put_new(name, (source.path / name).read_bytes())
        else:
            self.put_new(name, source.read([name])[0])

    def digests(self, names: Iterable[str]) -> dict[str, str]:
        """See `LocalFolder`."""
        names = list(names)
        contents = zip(names, self.read_existing(names), strict=True)
        return {name: hashlib.sha256(content).hexdigest() for name, content in contents if content is not None}


OutputFolder: TypeAlias = LocalFolder | RemoteFolder


def open_folder(place: Path | str) -> OutputFolder:
    """The folder at a path, or at a URL given as a string."""
    return LocalFolder(place) if isinstance(place, Path) else RemoteFolder(place)


def digest_of(name: str, sha256: str) -> str:
    """Digest of an output file of an image: of its key among the files of the image, and of its content.

    Args:
        name: file name of a picture; suffix of a label, whose name depends on the names of other images.
        sha256: SHA-256 of the content, 64 digits.
    """
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:OF_NAME] + sha256[: LENGTH - OF_NAME]


@dataclass(slots=True)
class ImageFiles:
    """The output files of one image that a run writes and removes.

    Attributes:
        noted: recorded digests of files written by runs; None if all existing files of the image may be replaced.
        written: digests of files written by this run.
        kept: files not replaced or removed, because they were edited by hand or not written by a run.
        foreign_too: also replace files without a recorded digest of their name, as the run starts over.
    """

    noted: Collection[str] | None = None
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    foreign_too: bool = False

    def put(self, folder: OutputFolder, files: Mapping[str, bytes], key: str | None = None) -> None:
        """Write files atomically, except where existing ones must be kept.

        Args:
            files: contents by name in the folder.
            key: `name` of `digest_of`; None for the file names.
        """
        for name, content in files.items():
            self.written.append(digest_of(key or posixpath.basename(name), hashlib.sha256(content).hexdigest()))
        folder.put({name: files[name] for name in self._replaceable(folder, files, key)})

    def remove(self, folder: OutputFolder, names: Iterable[str], key: str | None = None) -> list[str]:
        """Remove existing files, except those that must be kept; return the names of removed files."""
        removed = self._replaceable(folder, names, key)
        folder.remove(removed)
        return removed

    def _replaceable(self, folder: OutputFolder, names: Iterable[str], key: str | None) -> list[str]:
        """Names of files that are missing or written by a run; others, and unreadable files, are added to `kept`."""
        names = list(names)
        if self.noted is None:
            return names
        there = folder.digests(names)
        return [name for name in names if name not in there or self._is_ours(folder, name, there[name], key)]

    def _is_ours(self, folder: OutputFolder, name: str, sha256: str, key: str | None) -> bool:
        assert self.noted is not None
        digest = digest_of(key or posixpath.basename(name), sha256)
        # A killed run may already have written the new content.
        if digest in self.noted or digest in self.written:
            return True
        if self.foreign_too and not any(known[:OF_NAME] == digest[:OF_NAME] for known in self.noted):
            return True
        if (place := folder.place(name)) not in self.kept:
            self.kept.append(place)
        return False
