"""The output folder, local or at a URL, behind one interface."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from .address_folder import AddressFolder
from .atomic import atomic_file, write_file
from .digest import file_digest

NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


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
