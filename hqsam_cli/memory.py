"""How the process handles memory while a model computes on the CPU."""

from __future__ import annotations

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
LARGEST_INT = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process reuse the large blocks it frees instead of giving them back to the system.

    A decoder's intermediate results take tens of megabytes each. glibc maps each such block anew and the kernel
    clears it page by page, which can cost as much time as the computation. Does nothing where there is no glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_INT)
        mallopt(M_TRIM_THRESHOLD, LARGEST_INT)
