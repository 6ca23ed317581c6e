"""Files whose pixels are all there, though something beside them is broken: the same pixels without it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import IO

from PIL import Image

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# Of a PNG: what pixels, transparency and orientation need. Text, profiles and times do not matter here.
NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT")
OPTIONAL = (b"tRNS", b"eXIf")
IEND = struct.pack(">I4sI", 0, b"IEND", zlib.crc32(b"IEND"))
BLOCK = 1 << 20  # of pixels that are unpacked to be counted, and forgotten
EOI = b"\xff\xd9"
PADDINGS = (b"\x00", b"\x55", b"\xaa")  # different pixels of a JPEG whose data are cut off


def mended(content: bytes) -> bytes | None:
    """A file with the same pixels that can be opened, or None where pixels are missing or it is of another kind."""
    if content.startswith(PNG):
        chunks = list(_needed_chunks(content))
        return PNG + b"".join(chunks) + IEND if _has_all_pixels(chunks) else None
    if content.startswith(JPEG):
        return _with_end(content)
    return None


def png_depth(file: IO[bytes]) -> int | None:
    """The bits of a PNG's samples that are significant, where a chunk sBIT says so; the place in the file stays."""
    place = file.tell()
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
        file.seek(place)


def _needed_chunks(content: bytes) -> Iterator[bytes]:
    """Sound chunks of a PNG that matter, up to the first without which it is none."""
    place = len(PNG)
    while place + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        chunk = content[place : place + 12 + length]
        place += 12 + length
        sound = len(chunk) == 12 + length and zlib.crc32(chunk[4:-4]) == struct.unpack(">I", chunk[-4:])[0]
        if kind in NEEDED and sound:
            yield chunk
        elif kind in NEEDED and kind not in OPTIONAL:
            return


def _has_all_pixels(chunks: list[bytes]) -> bool:
    """Whether the pixels of a PNG's chunks come to their end."""
    unpack = zlib.decompressobj()
    try:
        for data in (chunk[8:-4] for chunk in chunks if chunk[4:8] == b"IDAT"):
            while data and not unpack.eof:
                unpack.decompress(data, BLOCK)
                data = unpack.unconsumed_tail
    except zlib.error:
        return False
    return unpack.eof


def _with_end(content: bytes) -> bytes | None:
    """A JPEG with the end that it lacks, if all its pixels come before.

    A decoder takes whatever follows for pixels that are cut off. So if different data after the end give equal
    pixels, none are.
    """
    content = content.rstrip(b"\xff")
    versions = [content + padding * 64 + EOI for padding in PADDINGS]
    try:
        pixels = [_decode(version) for version in versions]
    except Exception:
        return None
    return content + EOI if all(own == pixels[0] for own in pixels) else None


def _decode(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
        image.load()
        return image.tobytes()
