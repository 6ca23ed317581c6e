"""Repair PNG and JPEG files that are damaged but have complete pixels.

No library does it: Pillow rejects these files; with LOAD_TRUNCATED_IMAGES, like OpenCV, it makes up missing pixels.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import IO

from PIL import Image

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# PNG chunks with pixels, transparency and orientation. Text, profiles and times are irrelevant here.
OPTIONAL = (b"tRNS", b"eXIf")
NEEDED = (b"IHDR", b"PLTE", b"IDAT", *OPTIONAL)
IEND = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
BLOCK = 1 << 20  # bytes decompressed at once
EOI = b"\xff\xd9"
PADDINGS = (b"\x00", b"\x55", b"\xaa")  # each gives different pixels where a JPEG is cut off


def repaired(content: bytes) -> bytes | None:
    """Return a valid file with the same pixels; None if pixels are missing, or it is neither PNG nor JPEG."""
    if content.startswith(PNG):
        chunks = list(_needed_chunks(content))
        return PNG + b"".join(chunks) + IEND if _has_all_pixels(chunks) else None
    return _with_end(content) if content.startswith(JPEG) else None


def png_depth(file: IO[bytes]) -> int | None:
    """Significant bits of PNG samples, from the sBIT chunk; the file position is restored."""
    position = file.tell()
    try:
        file.seek(len(PNG))
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"sBIT":
                return max(file.read(length), default=0) or None
            if kind in (b"IDAT", b"IEND"):
                return None
            file.seek(length + 4, 1)
        return None
    finally:
        file.seek(position)


def _needed_chunks(content: bytes) -> Iterator[bytes]:
    """Yield the needed valid chunks of a PNG, up to the first invalid one that is not optional."""
    position = len(PNG)
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        chunk = content[position : position + 12 + length]
        position += 12 + length
        valid = len(chunk) == 12 + length and zlib.crc32(chunk[4:-4]) == struct.unpack(">I", chunk[-4:])[0]
        if kind in NEEDED and valid:
            yield chunk
        elif kind in NEEDED and kind not in OPTIONAL:
            return


def _has_all_pixels(chunks: list[bytes]) -> bool:
    """Whether the compressed pixels of a PNG are complete."""
    stream = zlib.decompressobj()
    try:
        for data in (chunk[8:-4] for chunk in chunks if chunk[4:8] == b"IDAT"):
            while data and not stream.eof:
                stream.decompress(data, BLOCK)
                data = stream.unconsumed_tail
    except zlib.error:
        return False
    return stream.eof


def _with_end(content: bytes) -> bytes | None:
    """Add the missing end marker to a JPEG; None if pixels are missing.

    Decoders take padding for missing pixels, so the pixels are complete if different paddings give equal ones.
    """
    content = content.rstrip(b"\xff")
    try:
        pixels = {_decode(content + padding * 64 + EOI) for padding in PADDINGS}
    except Exception:
        return None
    return content + EOI if len(pixels) == 1 else None


def _decode(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        return image.tobytes()
