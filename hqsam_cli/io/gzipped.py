"""Gzip in memory."""

from __future__ import annotations

import os
import zlib

from ..errors import HqsamError

GZIP = b"\x1f\x8b"
LARGEST = 2**32  # bytes of a decompressed file


def unzipped(content: bytes, path: str | os.PathLike[str]) -> bytes:
    """Decompress content if it is gzip; raises an HqsamError if it is damaged or too large."""
    if not content.startswith(GZIP):
        return content
    parts: list[bytes] = []
    left = LARGEST
    while content:  # of one or several gzip members
        unzip = zlib.decompressobj(wbits=31)
        try:
            parts.append(unzip.decompress(content, left))
        except zlib.error as error:
            raise HqsamError(f"broken gzip ({error})", file=path, remedy="download it again") from None
        left -= len(parts[-1])
        if not unzip.eof or left <= 0:
            reason = f"gzip that is truncated or larger than {LARGEST} bytes"
            raise HqsamError(reason, file=path, remedy="download it again")
        content = unzip.unused_data.lstrip(b"\0")
    return b"".join(parts)
