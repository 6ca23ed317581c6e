"""One run at a time per folder: a lock on its journal, or a lock file on file systems without locks.

Not `filelock`: it falls back to a lock file only for ENOSYS, and its process identification, which `status` and
journals at URLs also need, is private.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import socket
from io import FileIO
from pathlib import Path

import psutil

from ..errors import HqsamError

log = logging.getLogger(__name__)
ONE_AT_A_TIME = (
    "wait for it to end, or pass all inputs to one command; commands in parallel need an `output` each, "
    "as with `shard` and hqsam merge"
)
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def lock(file: FileIO, path: Path) -> Path | None:
    """Lock an open file; without file-system support, create a lock file and return its path, to delete later.

    Raises:
        HqsamError: another run holds the lock.
        OSError: it cannot be locked.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        raise HqsamError("another run is writing here", file=path.parent, remedy=ONE_AT_A_TIME) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    own = path.with_name(f"{path.name}.lock")
    log.warning("%s: this file system does not support locks; using a lock file", path.parent)
    _make(own)
    return own


def _make(path: Path) -> None:
    """Create a lock file, replacing a stale one of this machine."""
    ours = f"{socket.gethostname()} {os.getpid()} {start_of(os.getpid())}"
    for _ in range(2):
        try:
            with open(path, "x") as file:
                file.write(ours)
            return
        except FileExistsError:
            owner = path.read_text(errors="replace").strip()
            if not is_gone(owner):
                raise HqsamError(
                    f"another run is writing here ({owner or 'unknown'}, according to {path.name})",
                    file=path.parent,
                    remedy="wait for it to end, or delete that file if the process no longer runs",
                ) from None
            path.unlink(missing_ok=True)
    raise HqsamError("another run is writing here", file=path.parent, remedy=ONE_AT_A_TIME)


def is_gone(owner: str) -> bool:
    """Whether a process of this machine has ended; an owner with our own process id was a different process.

    Args:
        owner: `HOST PID START`, the content of a lock file; START may be missing.
    """
    host, number, start, *_ = [*owner.split(" "), "", ""]
    if host != socket.gethostname() or not number.isdigit():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    now = start_of(int(number))
    return int(number) == os.getpid() or (bool(start) and bool(now) and start != now)


def start_of(process: int) -> str:
    """Start time that distinguishes processes with the same process id; "" if unknown."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    try:
        if boot.exists():  # unlike wall-clock time, not affected by clock changes
            state, *rest = Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()
            return "ended" if state in "ZX" else f"{boot.read_text().strip()}:{rest[18]}"
        return str(psutil.Process(process).create_time())
    except (OSError, psutil.Error):
        return ""
