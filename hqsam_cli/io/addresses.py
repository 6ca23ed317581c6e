"""URLs supported by fsspec, such as `s3://bucket/a.jpg`: file systems, retries, and server responses."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ..errors import HqsamError, UsageError, first_line
from .names import ADDRESS

log = logging.getLogger(__name__)
T = TypeVar("T")
RETRY_DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds
RETRY_TIMEOUT = 60.0  # seconds after which nothing is retried: client libraries retry slow servers by themselves
TRY_AGAIN = "run the same command again to retry"
UNKNOWN = "-"  # a stamp without information
# Keys of the modification time and the version of an object in fsspec's `info`, best first.
MODIFIED = ("LastModified", "last_modified", "Last-Modified", "updated", "mtime", "created")
VERSION = ("ETag", "etag", "md5Hash", "content_md5", "blob_id", *MODIFIED)
TRANSIENT_STATUS = (408, 429)  # HTTP status codes; also all from 500 on
GONE_STATUS = (404, 410)  # no other status means that a file does not exist
NO_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, FileExistsError)
PERMANENT = (HqsamError, *NO_FILE, PermissionError, ValueError, MemoryError)
PERMANENT_NAMES = (
    *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound", "ParamValidationError"),  # of botocore
    "error_perm",  # of ftplib
)


def is_address(path: str) -> bool:
    """Whether a path is a URL, not a local file."""
    return bool(ADDRESS.match(path)) and not os.path.lexists(path)


def path_or_address(name: str) -> Path | str:
    """A local path, or a URL as a string."""
    return name if is_address(name) else Path(name)


def absolute_path(path: str) -> str:
    """A path that is valid in any working directory; URLs are unchanged."""
    return path if is_address(path) else os.path.abspath(path)


def file_system(address: str) -> tuple[Any, str]:
    """The fsspec file system of a URL and the path in it; raises a UsageError if it is unknown or needs a package."""
    import fsspec

    # Otherwise gcsfs queries the bucket type over gRPC at each call, and prints on stderr that it cannot.
    os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    # Listings are made once, and may have a million names. The SSH file system does not have the option.
    options: dict[str, Any] = {} if address.startswith(("sftp://", "ssh://")) else {"use_listings_cache": False}
    if address.startswith(("file://", "local://")):  # create folders with files, as objects need none
        options["auto_mkdir"] = True
    if address.startswith(("s3://", "s3a://")):  # otherwise s3fs requests the size of an object before reading it
        options["max_concurrency"] = 1
    try:
        system, path = fsspec.core.url_to_fs(address, **options)
    except ImportError as error:
        raise UsageError(
            f"a URL that needs a package ({first_line(error)})",
            file=address,
            remedy="pip install 'hqsam-cli[cloud]' for s3 and http, gcsfs for gs, adlfs for az",
        ) from None
    except ValueError as error:
        raise UsageError(f"URL not supported by fsspec ({first_line(error)})", file=address) from None
    return system, str(path)


def connect(address: str) -> tuple[Any, str]:
    """`file_system` with retries, as it may connect (FTP); raises an HqsamError if that fails."""
    try:
        return with_retries(lambda: file_system(address))
    except HqsamError:
        raise
    except Exception as error:
        raise HqsamError(f"cannot be reached ({first_line(error)})", file=address, remedy=TRY_AGAIN) from None


def speaks(system: Any, protocol: str) -> bool:
    """Whether a file system implements a protocol."""
    return protocol in ((system.protocol,) if isinstance(system.protocol, str) else system.protocol)


def with_retries(call: Callable[[], T]) -> T:
    """Call a function; transient errors are retried for a while, then raised."""
    start = time.monotonic()
    for delay in RETRY_DELAYS:
        try:
            return call()
        except Exception as error:
            if not is_transient(error) or time.monotonic() - start > RETRY_TIMEOUT:
                raise
            log.debug("retried in %s s", delay, exc_info=True)
        time.sleep(delay)
    return call()


def is_transient(error: Exception) -> bool:
    """Whether an error may be temporary, such as of a server that restarts or is overloaded."""
    if isinstance(error, PERMANENT) or type(error).__name__ in PERMANENT_NAMES:
        return False
    status = http_status(error)
    return status is None or status >= 500 or status in TRANSIENT_STATUS


def http_status(error: BaseException) -> int | None:
    """The HTTP status of an error of a client library, or None."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):  # of botocore
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status if isinstance(status, int) else None
    found = (getattr(own, name, None) for own in (error, response) for name in ("status", "status_code", "code"))
    return next((status for status in found if isinstance(status, int)), None)


def exists(path: str) -> bool:
    """Whether a path or URL exists; raises errors of servers and disks that leave it unknown."""
    try:
        if is_address(path):
            info_of(*file_system(path))
        else:
            os.lstat(path)
    except NotADirectoryError:
        return False
    except FileNotFoundError as error:
        if not _is_definite(error):
            raise
        return False
    return True


def info_of(system: Any, path: str) -> Mapping[str, Any]:
    """fsspec's `info` of a file.

    A FileNotFoundError means that it does not exist. fsspec also raises it for other HTTP errors, which are restored.
    """
    try:
        info: Mapping[str, Any] = system.info(path)
    except FileNotFoundError as error:
        if speaks(system, "ftp"):
            check_ftp_listing(system, path.rpartition("/")[0])
        elif error.__cause__ is not None and not _is_definite(error):
            raise error.__cause__ from None
        raise
    return info


def _is_definite(error: FileNotFoundError) -> bool:
    """Whether an error definitely means that the file does not exist."""
    cause = error.__cause__
    local = (FileNotFoundError, LookupError, StopIteration)  # from file systems that look names up in a listing
    return cause is None or isinstance(cause, local) or http_status(cause) in GONE_STATUS


def check_ftp_listing(system: Any, folder: str) -> None:
    """Raise if an FTP server refuses to list a folder, which fsspec treats as empty."""
    system.ftp.retrlines(f"LIST {folder or '/'}", lambda _line: None)


def stamp_of(info: Mapping[str, Any]) -> str:
    """A stamp that changes with an object, from its `info`; see `InputFile.stamp`."""
    version = next((info[key] for key in VERSION if info.get(key)), None)
    if version is None:
        return UNKNOWN
    return hashlib.sha256(f"{info.get('size')} {version}".encode()).hexdigest()[:16]
