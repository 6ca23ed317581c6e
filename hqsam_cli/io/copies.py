"""Local copies of files at URLs, for code that reads and writes only local files."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .address_folder import AddressFolder


class LocalCopy:
    """A file to read: a local file, or a download from a URL, removed with this object.

    Attributes:
        name: its path, or its URL as a string.
        path: path of the local file.
        is_there: whether the file exists; the constructor raises an HqsamError if that is unknown.
    """

    def __init__(self, name: Path | str) -> None:
        self.name = name
        if isinstance(name, Path):
            self.path, self.is_there = name, name.is_file()
            return
        folder = tempfile.mkdtemp(prefix="hqsam-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(folder, "copy")
        self.is_there = AddressFolder(name).fetch("", self.path)


@contextmanager
def written_to(output: Path | str) -> Iterator[Path]:
    """A local path for a file, and others next to it; uploaded if the output is a URL and the block raises no error."""
    if isinstance(output, Path):
        yield output
        return
    with tempfile.TemporaryDirectory(prefix="hqsam-") as folder:
        path = Path(folder, output.rpartition("/")[2])
        yield path
        for file in Path(folder).iterdir():
            AddressFolder(output.removesuffix(path.name) + file.name).put_file("", file)


def below(folder: Path | str, name: str) -> Path | str:
    """The path or URL of a name in a folder."""
    return folder / name if isinstance(folder, Path) else f"{folder.rstrip('/')}/{name}"
