"""What is below an address, as a folder: objects are put whole, listed and removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from ..errors import HqsamError
from .listing import address_below, files_below
from .places import TRY_AGAIN, patiently, reach, reason_of, speaks

T = TypeVar("T")
PROBE = ".hqsam"  # an object that is put to see whether one can be, and removed
AT_ONCE = 16  # objects that are asked for at once


class AddressFolder:
    """A folder at an address.

    Raises:
        UsageError: there is no such kind of address, or it needs a package.
        HqsamError: its server cannot be reached.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._system, root = reach(self.address)
        self._root = root.rstrip("/")

    def put(self, files: Mapping[str, bytes]) -> None:
        """Put objects in place by their names, each whole or not at all; an HqsamError where that cannot be."""
        self._each(
            lambda name: self._write(name, lambda: self._system.pipe_file(self._place(name), files[name])), files
        )

    def put_file(self, name: str, path: Path) -> None:
        """Put a file of this machine in place, of any size."""
        self._write(name, lambda: self._system.put_file(str(path), self._place(name)))

    def put_new(self, name: str, content: bytes) -> bool:
        """Put an object in place unless there is one of that name with other content; whether it is there then."""
        place = self._place(name)
        try:
            self._write(name, lambda: self._system.pipe_file(place, content, mode="create"))
            return True
        except FileExistsError:  # perhaps by a request of ours whose answer was lost
            return self.read([name])[0] == content

    def fetch(self, name: str, path: Path) -> bool:
        """Copy an object, of any size, to a file of this machine; whether there is one.

        Raises:
            HqsamError: it cannot be read.
        """
        try:
            patiently(lambda: self._system.get_file(self._place(name), str(path)))
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError):  # the last below a file
            return False
        except Exception as error:
            raise HqsamError(
                f"cannot be read ({reason_of(error)})", file=f"{self.address}/{name}".rstrip("/"), remedy=TRY_AGAIN
            ) from None
        return path.is_file()

    def read(self, names: Iterable[str]) -> list[bytes]:
        """The contents of objects; an HqsamError where one cannot be read."""
        return self._each(self._read, names)

    def names(self, below: str = "") -> dict[str, Mapping[str, Any]]:
        """What the file system says of all objects below a folder of this one, or of the one of that name.

        Raises:
            HqsamError: they cannot be listed.
        """
        files = files_below(address_below(self.address, below) if below else self.address)
        return {f"{below}/{file.name}".strip("/"): file.info for file in files}

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects; those that are not there are none. An HqsamError where one cannot be removed."""
        self._each(self._remove, names)

    def check_can_write(self) -> None:
        """Raise an HqsamError unless an object can be put there."""
        self.put({PROBE: b""})
        self.remove([PROBE])

    def _place(self, name: str) -> str:
        name = quote(name, errors="surrogateescape") if speaks(self._system, "http") else name
        return f"{self._root}/{name}" if name else self._root

    def _each(self, do: Callable[[str], T], names: Iterable[str]) -> list[T]:
        """Do something with each of some objects, many at a time."""
        names = list(names)
        if len(names) < 2:
            return [do(name) for name in names]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(do, names))

    def _read(self, name: str) -> bytes:
        try:
            return bytes(patiently(lambda: self._system.cat_file(self._place(name))))
        except Exception as error:
            raise HqsamError(f"cannot be read ({reason_of(error)})", file=f"{self.address}/{name}") from None

    def _remove(self, name: str) -> None:
        try:
            patiently(lambda: self._system.rm_file(self._place(name)))
        except FileNotFoundError:
            pass
        except Exception as error:
            raise HqsamError(f"cannot be removed ({reason_of(error)})", file=f"{self.address}/{name}") from None

    def _write(self, name: str, write: Callable[[], object]) -> None:
        try:
            patiently(write)
        except FileExistsError:
            raise
        except Exception as error:
            raise HqsamError(
                f"cannot be written ({reason_of(error)})",
                file=f"{self.address}/{name}".rstrip("/"),
                remedy="mend that and run the same command, which continues, or choose another `output`",
            ) from None
