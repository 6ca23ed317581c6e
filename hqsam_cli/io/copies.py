"""Local copies of files at addresses, for code that reads and writes files of this machine alone."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .address_folder import AddressFolder


class LocalCopy:
    """A file to read: one of this machine, or a download of one at an address, removed with this object.

    Attributes:
        name: its path, or its address as text.
        path: of the local file.
        is_there: whether the file exists; an HqsamError if that is unknown.
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
    """A local path to write a file to; it is uploaded if the output is an address and the block raises no error."""
    if isinstance(output, Path):
        yield output
        return
    with tempfile.TemporaryDirectory(prefix="hqsam-") as folder:
        path = Path(folder, output.rpartition("/")[2])
        yield path
        AddressFolder(output).put_file("", path)


def below(folder: Path | str, name: str) -> Path | str:
    """The path or address of a name in a folder."""
    return folder / name if isinstance(folder, Path) else f"{folder.rstrip('/')}/{name}"
