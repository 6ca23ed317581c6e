"""Where the bytes of a file are: on this machine, or at an address that fsspec knows, as a file or as a part of a tar.

What is elsewhere is fetched once, and kept while its `Place` is. Whatever passes by itself, such as a server that is
restarted or has too much to do, is waited for.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import stat
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

from ..errors import HqsamError, ImageError, UsageError
from .digest import file_digest
from .names import ADDRESS

log = logging.getLogger(__name__)
T = TypeVar("T")
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before something is tried again
PATIENCE = 60.0  # seconds after which it is not, since libraries wait for slow servers by themselves
TRY_AGAIN = "the same command tries it again"
UNKNOWN = "-"  # a stamp that says nothing
HEAD = 1 << 16  # bytes in which most images say their size and how they are turned
# When an object was made, and what says that it is another one, the best first, as the file systems of fsspec call it.
MODIFIED = ("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "created")
MARKS = (
    "ETag",
    "etag",
    "md5Hash",
    "content_md5",
    "blob_id",
    *MODIFIED,
)
PASSING_STATUS = (408, 429)  # of HTTP, beside all from 500 on
GONE_STATUS = (404, 410)  # what says that there is nothing; no other status does
LASTING = (
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
    NotADirectoryError,
    FileExistsError,
    ValueError,
    MemoryError,
)
LASTING_NAMES = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "ProfileNotFound",
    "ParamValidationError",
    "error_perm",  # of ftplib
)


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an image is that is no file of its own on this machine.

    Attributes:
        holder: an address, or the path or the address of a tar.
        stamp: of the holder and the place in it, as a listing has them; None asks for it when it is needed.
        start, size: which bytes of the holder; None are all.
    """

    holder: str
    stamp: str | None = None
    start: int = 0
    size: int | None = None


class Place(Protocol):
    """Where the bytes of a file are.

    Attributes:
        path: as people know it.
    """

    path: str

    def size(self) -> int:
        """Of the file in bytes; an OSError or an ImageError where there is none."""

    def open(self) -> BinaryIO:
        """The file, from its beginning; an OSError or an ImageError where there is none."""

    def head(self) -> BinaryIO:
        """The beginning of the file, or all of it."""

    def stamp(self) -> str:
        """What changes when somebody writes the file, without reading it."""

    def digest(self) -> str:
        """SHA-256 of the file, 64 digits."""


class LocalFile:
    """A file of this machine; see `Place`."""

    def __init__(self, path: str) -> None:
        self.path = path

    def size(self) -> int:
        """See `Place`."""
        self._check_is_file()
        return os.path.getsize(self.path)

    def open(self) -> BinaryIO:
        """See `Place`."""
        self._check_is_file()
        return open(self.path, "rb")

    head = open

    def stamp(self) -> str:
        """See `Place`."""
        status = os.stat(self.path)
        # Files that change places keep their times.
        return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"

    def digest(self) -> str:
        """See `Place`."""
        self._check_is_file()
        return file_digest(self.path)

    def _check_is_file(self) -> None:
        """A pipe, which nobody may be writing to, is not waited for."""
        if is_special(self.path):
            raise ImageError("a device or a pipe, not a file", file=self.path, remedy="save it as a file first")


class Fetched:
    """What is elsewhere, fetched when it is needed for the first time; see `Place`."""

    def __init__(self, path: str, stored: Stored) -> None:
        self.path, self.stored = path, stored
        self._content: bytes | ImageError | None = None
        self._head: bytes | None = None

    @property
    def content(self) -> bytes:
        """All of it.

        Raises:
            ImageError: it cannot be fetched.
        """
        if self._content is None:
            self._content = self._fetch(self.stored.size)
        if isinstance(self._content, ImageError):
            raise self._content
        return self._content

    def size(self) -> int:
        """See `Place`."""
        return len(self.content)

    def open(self) -> BinaryIO:
        """See `Place`."""
        return io.BytesIO(self.content)

    def head(self) -> BinaryIO:
        """See `Place`; the rest is not fetched."""
        if isinstance(self._content, bytes):
            return self.open()
        if self._head is None:
            known = self.stored.size
            self._head = self._fetch(HEAD if known is None else min(HEAD, known))
        return io.BytesIO(self._head)

    def stamp(self) -> str:
        """See `Place`."""
        if self.stored.stamp is not None:
            return self.stored.stamp
        return stamp_of(self._asked(info_of))

    def digest(self) -> str:
        """See `Place`."""
        return hashlib.sha256(self.content).hexdigest()

    def _fetch(self, size: int | None) -> bytes:
        start = self.stored.start
        if size == 0:  # what asks for no bytes asks for all of them
            return b""
        if not is_address(self.stored.holder):
            with open(self.stored.holder, "rb") as file:
                file.seek(start)
                return file.read(-1 if size is None else size)
        end = None if size is None else start + size
        whole = size is None and not start
        content: bytes = self._asked(
            lambda system, path: system.cat_file(path) if whole else system.cat_file(path, start=start, end=end)
        )
        return content

    def _asked(self, ask: Callable[[Any, str], T]) -> T:
        if isinstance(self._content, ImageError):
            raise self._content
        try:
            return patiently(lambda: ask(*file_system(self.stored.holder)))
        except (FileNotFoundError, IsADirectoryError):
            failure = ImageError("no such file", file=self.path, remedy="check the path")
        except HqsamError as error:
            failure = ImageError(error.reason, file=self.path, remedy=error.remedy)
        except Exception as error:
            failure = ImageError(f"cannot be fetched ({reason_of(error)})", file=self.path, remedy=TRY_AGAIN)
        self._content = failure  # waited for long enough
        raise failure


def at(path: str | Place) -> Place:
    """The place of a path or an address."""
    if not isinstance(path, str):
        return path
    return Fetched(path, Stored(path)) if is_address(path) else LocalFile(path)


def is_special(path: str | Path) -> bool:
    """Whether there is a device, a pipe or a socket, which is neither a file nor a folder."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def absolute_path(path: str) -> str:
    """A path that means the same in any folder; an address as it is."""
    return path if is_address(path) else os.path.abspath(path)


def is_address(path: str) -> bool:
    """Whether a path is an address, and no file of this machine."""
    return bool(ADDRESS.match(path)) and not os.path.lexists(path)


def as_place(name: str) -> Path | str:
    """A path of this machine, or an address as it is."""
    return name if is_address(name) else Path(name)


def is_there(path: str) -> bool:
    """Whether there is something at a path, or may be: only a definite "no such file" says that there is not.

    A server that is down, refuses or has too much to do does not say so, and neither does a disk with an I/O error.
    """
    try:
        if is_address(path):
            info_of(*file_system(path))
        else:
            os.lstat(path)
    except NotADirectoryError:
        return False
    except FileNotFoundError as error:
        return not _is_definite(error)
    except Exception:
        log.debug("%s: nobody knows whether it is there", path, exc_info=True)
    return True


def info_of(system: Any, path: str) -> Mapping[str, Any]:
    """What a file system says of a file.

    Raises:
        FileNotFoundError: it says that there is none. Other errors are raised as they are: fsspec over HTTP turns all
            of them into this one.
    """
    try:
        info: Mapping[str, Any] = system.info(path)
    except FileNotFoundError as error:
        if speaks(system, "ftp"):
            check_listed(system, path.rpartition("/")[0])
        elif error.__cause__ is not None and not _is_definite(error):
            raise error.__cause__ from None
        raise
    return info


def _is_definite(error: FileNotFoundError) -> bool:
    """Whether an error comes from an answer that there is no such file, and from no other trouble."""
    cause = error.__cause__
    local = (FileNotFoundError, LookupError, StopIteration)  # of file systems that look a name up in a listing
    return cause is None or isinstance(cause, local) or status_of(cause) in GONE_STATUS


def check_listed(system: Any, folder: str) -> None:
    """Raise where an FTP server refuses to list a folder, which fsspec takes for an empty one."""
    system.ftp.retrlines(f"LIST {folder or '/'}", lambda _line: None)


def speaks(system: Any, protocol: str) -> bool:
    """Whether a file system is the one of a protocol."""
    return protocol in ((system.protocol,) if isinstance(system.protocol, str) else system.protocol)


def read_bytes(path: str) -> bytes:
    """All of the file at an address.

    Raises:
        HqsamError: it cannot be fetched.
    """
    try:
        return Fetched(path, Stored(path)).content
    except ImageError as error:
        raise HqsamError(error.reason, file=path, remedy=error.remedy) from None


def file_system(address: str) -> tuple[Any, str]:
    """The file system of fsspec that has an address, and what it calls it.

    Raises:
        UsageError: a package is not installed, or nobody knows such addresses.
    """
    import fsspec

    # Otherwise gcsfs asks over gRPC what kind of bucket it is at each call, and says on stderr that it cannot.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    # What is listed is asked for once, and may be a million names long. Over SSH nothing is kept, nor the option known.
    options = {} if address.startswith(("sftp://", "ssh://")) else {"use_listings_cache": False}
    if address.startswith(("file://", "local://")):  # objects need no folders; those of files are made with them
        options["auto_mkdir"] = True
    try:
        system, path = fsspec.core.url_to_fs(address, **options)
    except ImportError as error:
        raise UsageError(
            f"an address that needs a package ({reason_of(error)})",
            file=address,
            remedy="pip install 'hqsam-cli[cloud]' for s3 and http, gcsfs for gs, adlfs for az",
        ) from None
    except ValueError as error:
        raise UsageError(f"no address that fsspec knows ({reason_of(error)})", file=address) from None
    return system, str(path)


def reach(address: str) -> tuple[Any, str]:
    """See `file_system`; waits for a server to which a connection is made at once, as over FTP.

    Raises:
        HqsamError: there is none.
    """
    try:
        return patiently(lambda: file_system(address))
    except HqsamError:
        raise
    except Exception as error:
        raise HqsamError(f"cannot be reached ({reason_of(error)})", file=address, remedy=TRY_AGAIN) from None


def patiently(ask: Callable[[], T]) -> T:
    """What is asked for, tried again for a while where that can help; raises what it raises in the end."""
    began = time.monotonic()
    for pause in PAUSES:
        try:
            return ask()
        except Exception as error:
            if not may_pass(error) or time.monotonic() - began > PATIENCE:
                raise
            log.debug("tried again in %s s", pause, exc_info=True)
        time.sleep(pause)
    return ask()


def may_pass(error: Exception) -> bool:
    """Whether an error may be gone after a while."""
    if isinstance(error, (HqsamError, *LASTING)) or type(error).__name__ in LASTING_NAMES:
        return False
    status = status_of(error)
    return status is None or status >= 500 or status in PASSING_STATUS


def status_of(error: BaseException) -> int | None:
    """The status of HTTP that an error is about, as the client of each service calls it."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # of botocore
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status if isinstance(status, int) else None
    found = (getattr(own, name, None) for own in (error, response) for name in ("status", "status_code", "code"))
    return next((status for status in found if isinstance(status, int)), None)


def reason_of(error: Exception) -> str:
    """The first line of an error, or its kind."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def stamp_of(info: Mapping[str, Any]) -> str:
    """A stamp of what a file system says of an object."""
    mark = next((info[key] for key in MARKS if info.get(key)), None)
    if mark is None:
        return UNKNOWN
    return hashlib.sha256(f"{info.get('size')} {mark}".encode()).hexdigest()[:16]
