"""Files that may be gzipped."""

from __future__ import annotations

import os
import zlib

from ..errors import HqsamError

GZIP = b"\x1f\x8b"
LARGEST = 2**32  # bytes that a compressed file may grow to


def unzipped(content: bytes, path: str | os.PathLike[str]) -> bytes:
    """The content of a file, unzipped if it is gzip.

    Raises:
        HqsamError: it is damaged, cut off, or grows beyond all measure.
    """
    if not content.startswith(GZIP):
        return content
    parts: list[bytes] = []
    left = LARGEST
    while content:  # a file may be several, one after the other
        unzip = zlib.decompressobj(wbits=31)
        try:
            parts.append(unzip.decompress(content, left))
        except zlib.error as error:
            raise HqsamError(f"broken gzip ({error})", file=path, remedy="fetch it again") from None
        left -= len(parts[-1])
        if not unzip.eof or left <= 0:
            raise HqsamError(
                f"gzip that is cut off or grows beyond {LARGEST} bytes", file=path, remedy="fetch it again"
            )
        content = unzip.unused_data.lstrip(b"\0")
    return b"".join(parts)
