"""A folder at a URL: objects are written atomically, listed and removed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from ..errors import HqsamError, first_line
from .addresses import NO_FILE, TRY_AGAIN, connect, speaks, with_retries
from .listing import address_below, files_below

T = TypeVar("T")
PROBE = ".hqsam"  # written and removed to check write access
AT_ONCE = 16  # parallel requests


class AddressFolder:
    """A folder at a URL, see `connect`. Names are relative to it; "" is the URL itself.

    Every method raises an HqsamError if the server cannot be reached or refuses access.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._system, root = connect(self.address)
        self._root = root.rstrip("/")

    def put(self, files: Mapping[str, bytes]) -> None:
        """Write objects, each atomically."""
        self._map(lambda name: self._write(name, lambda path: self._system.pipe_file(path, files[name])), files)

    def put_file(self, name: str, path: Path) -> None:
        """Upload a local file of any size."""
        self._write(name, lambda remote: self._system.put_file(str(path), remote))

    def put_new(self, name: str, content: bytes) -> bool:
        """Write an object unless it exists; return whether it has this content afterwards."""
        try:
            self._write(name, lambda path: self._system.pipe_file(path, content, mode="create"))
            return True
        except FileExistsError:  # maybe written by an attempt whose response was lost
            return self.read([name])[0] == content

    def fetch(self, name: str, path: Path) -> bool:
        """Download an object of any size to a local file; return whether it exists."""
        with suppress(*NO_FILE):
            self._request("read", name, lambda remote: self._system.get_file(remote, str(path)), *NO_FILE)
            return path.is_file()
        return False

    def read(self, names: Iterable[str]) -> list[bytes]:
        """The contents of objects."""
        return self._map(lambda name: bytes(self._request("read", name, self._system.cat_file)), names)

    def read_existing(self, names: Iterable[str]) -> list[bytes | None]:
        """The contents of objects, None for those that do not exist."""
        return self._map(self._read_existing, names)

    def names(self, below: str = "") -> dict[str, Mapping[str, Any]]:
        """fsspec's `info` of all objects below this folder, or a subfolder, by name."""
        files = files_below(address_below(self.address, below) if below else self.address)
        return {f"{below}/{file.name}".strip("/"): file.info for file in files}

    def remove(self, names: Iterable[str]) -> None:
        """Remove objects, if they exist."""
        self._map(self._remove, names)

    def check_can_write(self) -> None:
        """Raise an HqsamError unless objects can be written."""
        self.put({PROBE: b""})
        self.remove([PROBE])

    def _map(self, call: Callable[[str], T], names: Iterable[str]) -> list[T]:
        """Call a function for each name, in parallel."""
        names = list(names)
        if len(names) < 2:
            return [call(name) for name in names]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(call, names))

    def _read_existing(self, name: str) -> bytes | None:
        with suppress(FileNotFoundError):
            return bytes(self._request("read", name, self._system.cat_file, FileNotFoundError))
        return None

    def _remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._request("removed", name, self._system.rm_file, FileNotFoundError)

    def _write(self, name: str, write: Callable[[str], object]) -> None:
        remedy = "fix that and run the same command again to continue, or choose another `output`"
        self._request("written", name, write, FileExistsError, remedy=remedy)

    def _request(
        self, done: str, name: str, request: Callable[[str], T], *raised: type[OSError], remedy: str = TRY_AGAIN
    ) -> T:
        """Request an object, with retries; errors other than `raised` become an HqsamError that says `done`."""
        path = quote(name, errors="surrogateescape") if speaks(self._system, "http") else name
        try:
            return with_retries(lambda: request(f"{self._root}/{path}" if path else self._root))
        except raised:
            raise
        except Exception as error:
            file = f"{self.address}/{name}".rstrip("/")
            raise HqsamError(f"cannot be {done} ({first_line(error)})", file=file, remedy=remedy) from None
