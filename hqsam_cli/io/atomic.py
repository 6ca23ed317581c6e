"""Atomic writes of files."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ..errors import HqsamError
from .files import is_special


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file that replaces `path` if the block raises no error, and is removed otherwise.

    Raises an OSError if `path` is a device or a pipe.
    """
    _check_is_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A hash fits the maximum name length, and is the same after a crash, so that temporary files do not pile up.
    temporary = path.parent / f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.tmp"
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise


def write_file(path: Path, content: bytes) -> None:
    """Write a file; see `atomic_file`."""
    with atomic_file(path) as file:
        file.write(content)


def _check_is_file(path: Path) -> None:
    """Raise an OSError if the path exists and is neither a file nor a folder."""
    if is_special(path):
        raise OSError(errno.EEXIST, "a device or a pipe, not a file", str(path))


def check_can_write(path: Path) -> None:
    """Raise an HqsamError unless the file can be written; an existing file is not changed."""
    with writing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        _check_is_file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert an OSError of the block to an HqsamError about `path`, or a file below it."""
    try:
        yield
    except OSError as error:
        file = error.filename if str(error.filename).startswith(str(path)) else path
        reason = f"cannot be written ({error.strerror or error})"
        raise HqsamError(reason, file=file, remedy="pass another path") from None
