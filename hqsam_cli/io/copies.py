"""Files of this machine or at addresses, for what reads or writes files of this machine alone."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .address_folder import AddressFolder


class LocalCopy:
    """A file to read: one of this machine, or a copy of what is at an address, which is gone when this is.

    Args:
        name: a path, or an address as a text.

    Attributes:
        name: as people know it.
        path: of the file on this machine.
        is_there: whether there is one.

    Raises:
        HqsamError: it cannot be fetched.
    """

    def __init__(self, name: Path | str) -> None:
        self.name = name
        if isinstance(name, Path):
            self.path, self.is_there = name, name.is_file()
            return
        here = tempfile.mkdtemp(prefix="hqsam-")
        weakref.finalize(self, shutil.rmtree, here, ignore_errors=True)
        self.path = Path(here, "copy")
        self.is_there = AddressFolder(name).fetch("", self.path)


@contextmanager
def written_to(place: Path | str) -> Iterator[Path]:
    """The path at which to write a file that goes to a path, or to an address when the block ends well."""
    if isinstance(place, Path):
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="hqsam-") as here:
        path = Path(here, place.rpartition("/")[2])
        yield path
        AddressFolder(place).put_file("", path)


def below(place: Path | str, name: str) -> Path | str:
    """What is called so in a folder, or below an address."""
    return place / name if isinstance(place, Path) else f"{place.rstrip('/')}/{name}"
