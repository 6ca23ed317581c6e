"""What is below an address, as a folder: objects are put whole, listed and removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..errors import HqsamError
from .places import file_system, patiently, reason_of

T = TypeVar("T")
PROBE = ".hqsam"  # an object that is put to see whether one can be, and removed
AT_ONCE = 1000  # objects that are read or removed together


class AddressFolder:
    """A folder at an address.

    Raises:
        UsageError: there is no such kind of address, or it needs a package.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._system, root = file_system(self.address)
        self._root = root.rstrip("/")

    def put(self, files: Mapping[str, bytes]) -> None:
        """Put objects in place by their names, each whole or not at all; an HqsamError where that cannot be."""
        if files:
            placed = {self._place(name): content for name, content in files.items()}
            self._write(next(iter(files)), lambda: self._system.pipe(placed))

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

    def read(self, names: Iterable[str]) -> list[bytes]:
        """The contents of objects; an HqsamError where one cannot be read."""
        places = [self._place(name) for name in names]
        try:
            found: dict[str, bytes] = patiently(lambda: self._system.cat(places)) if places else {}
        except Exception as error:
            raise HqsamError(f"cannot be read ({reason_of(error)})", file=self.address) from None
        return [found[place] for place in places]

    def names(self, below: str = "") -> dict[str, Mapping[str, Any]]:
        """What the file system says of all objects below a folder of this one, or of the one of that name.

        Raises:
            HqsamError: they cannot be listed.
        """
        self._system.invalidate_cache()
        try:
            infos = patiently(lambda: self._system.find(self._place(below), detail=True))
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise HqsamError(
                f"cannot be listed ({reason_of(error)})", file=f"{self.address}/{below}".rstrip("/")
            ) from None
        return {path.removeprefix(self._root).lstrip("/"): info for path, info in infos.items()}

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects, in that order, some at a time; those that are not there are none."""
        for some in in_parts(list(names)):
            places = [self._place(name) for name in some]
            try:
                patiently(lambda places=places: self._system.rm(places))  # type: ignore[misc]
            except FileNotFoundError:
                continue
            except Exception as error:
                raise HqsamError(f"cannot be removed ({reason_of(error)})", file=self.address) from None

    def check_can_write(self) -> None:
        """Raise an HqsamError unless an object can be put there."""
        self.put({PROBE: b""})
        self.remove([PROBE])

    def _place(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _write(self, name: str, write: Callable[[], object]) -> None:
        try:
            patiently(write)
        except FileExistsError:
            raise
        except Exception as error:
            raise HqsamError(
                f"cannot be written ({reason_of(error)})",
                file=f"{self.address}/{name}",
                remedy="mend that and run the same command, which continues, or choose another `output`",
            ) from None


def in_parts(items: list[T]) -> Iterator[list[T]]:
    """A list in parts of `AT_ONCE`."""
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))
