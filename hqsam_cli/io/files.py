"""Input files, each read once: local, at a URL, or a member of a local or remote tar."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from ..errors import HqsamError, ImageError, first_line
from .addresses import TRY_AGAIN, file_system, info_of, is_address, is_transient, stamp_of, with_retries
from .digest import file_digest

T = TypeVar("T")
LARGE = 1 << 28  # bytes
HEAD = 1 << 16  # bytes that contain the size and EXIF orientation of most images
# URLs that failed after all retries. They are requested again, but without retries.
_unavailable: set[str] = set()


@dataclass(frozen=True, slots=True)
class Location:
    """Location of the bytes of an image that is not a local file.

    Attributes:
        url: its URL, or the path or URL of the tar that contains it.
        stamp: see `InputFile.stamp`; None if unknown from a listing.
        start, size: byte range at `url`; a size of None means up to the end.
    """

    url: str
    stamp: str | None = None
    start: int = 0
    size: int | None = None


@dataclass(eq=False)
class InputFile:
    """A local file, read when its content is first needed, and kept in memory with this object.

    Attributes:
        path: its path or URL, as in messages.

    Raises:
        OSError, ImageError: by every method, if the file cannot be read, or is a pipe, which might never end.
    """

    path: str

    @cached_property
    def content(self) -> bytes:
        """All bytes."""
        with self.head() as file:
            return file.read()

    def head(self) -> BinaryIO:
        """The file opened at its beginning, possibly only its first `HEAD` bytes."""
        if is_special(self.path):
            raise ImageError("a device or a pipe, not a file", file=self.path, remedy="save it as a file first")
        return open(self.path, "rb")

    def stamp(self) -> str:
        """A string that changes when the file is written; does not read the file."""
        status = os.stat(self.path)
        # The inode is included, as renamed files keep their times.
        return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"

    def digest(self) -> str:
        """SHA-256 of the content, 64 hexadecimal digits; a large local file is not kept in memory."""
        if not is_address(self.path) and os.path.isfile(self.path) and os.path.getsize(self.path) > LARGE:
            return file_digest(self.path)
        return hashlib.sha256(self.content).hexdigest()


@dataclass(eq=False)
class RemoteFile(InputFile):
    """An object at a URL, or a member of a tar; not requested again after an error."""

    location: Location
    _failure: ImageError | None = field(default=None, init=False)

    @cached_property
    def content(self) -> bytes:
        """See `InputFile`."""
        return self._read(self.location.size)

    def head(self) -> BinaryIO:
        """See `InputFile`."""
        return io.BytesIO(self.content if "content" in self.__dict__ else self._head)

    @cached_property
    def _head(self) -> bytes:
        size = self.location.size
        return self._read(HEAD if size is None else min(HEAD, size))

    def stamp(self) -> str:
        """See `InputFile`."""
        return stamp_of(self._request(info_of)) if self.location.stamp is None else self.location.stamp

    def _read(self, size: int | None) -> bytes:
        start = self.location.start
        if size == 0:  # an empty range would request all bytes
            return b""
        if not is_address(self.location.url):
            with open(self.location.url, "rb") as file:
                file.seek(start)
                return file.read(-1 if size is None else size)
        limits = {} if size is None else {"start": start, "end": start + size}
        return bytes(self._request(lambda system, path: system.cat_file(path, **limits)))

    def _request(self, request: Callable[[Any, str], T]) -> T:
        """Request the URL, with retries."""
        if self._failure is not None:
            raise self._failure
        url = self.location.url
        try:
            retry = with_retries if url not in _unavailable else lambda call: call()
            result = retry(lambda: request(*file_system(url)))
            _unavailable.discard(url)
            return result
        except (FileNotFoundError, IsADirectoryError):
            self._failure = ImageError("no such file", file=self.path, remedy="check the path")
        except HqsamError as error:
            self._failure = ImageError(error.reason, file=self.path, detail=error.detail, remedy=error.remedy)
        except Exception as error:
            if is_transient(error):
                _unavailable.add(url)
            self._failure = ImageError(
                "cannot be downloaded", file=self.path, detail=first_line(error), remedy=TRY_AGAIN
            )
        raise self._failure


def input_file(path: str | InputFile) -> InputFile:
    """The file at a path or URL."""
    if isinstance(path, InputFile):
        return path
    return RemoteFile(path, Location(path)) if is_address(path) else InputFile(path)


def read_bytes(address: str) -> bytes:
    """Read all bytes at a URL; raises an HqsamError."""
    try:
        return RemoteFile(address, Location(address)).content
    except ImageError as error:
        raise HqsamError(error.reason, file=address, detail=error.detail, remedy=error.remedy) from None


def is_special(path: str | Path) -> bool:
    """Whether a path is a device, a pipe or a socket, neither a file nor a folder."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
