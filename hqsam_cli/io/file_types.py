"""File types by suffix, placeholder files (Git LFS pointers and HTML error pages), and gzip."""

from __future__ import annotations

import os
import zlib

from ..errors import HqsamError

TIFF_SUFFIXES = (".tif", ".tiff")
HEIF_SUFFIXES = (".heic", ".heif", ".hif", ".heics")
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".mpo"),
    *(".png", ".apng", ".bmp", *TIFF_SUFFIXES, ".webp", ".gif", ".avif", ".avifs", ".dib"),
    *(".jp2", ".j2k", ".j2c", ".jpf", ".jpx"),
)
OTHER_IMAGES = (
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw", ".crw", ".raw", ".3fr", ".iiq"),
    *(".psd", ".xcf", ".svg", ".eps", ".tga", ".ppm", ".pgm", ".pbm", ".pnm", ".pcx", ".dds", ".qoi", ".ico"),
    *(".exr", ".hdr", ".fits", ".dcm", ".jxl", ".jxr"),
)
VIDEO_SUFFIXES = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".mts")
LFS = b"version https://git-lfs"
HTML = (b"<!doctype html", b"<html", b"<head", b"<!--")
GZIP = b"\x1f\x8b"
LARGEST_UNZIPPED = 2**32  # bytes of a decompressed file
HEAD = 64  # bytes needed to recognize a placeholder


def describe_placeholder(head: bytes) -> str | None:
    """Describe a placeholder by its first bytes, with a remedy; None if it is none."""
    if head.startswith(LFS):
        return "a Git LFS pointer, not the file itself; download it with git lfs pull"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(HTML):
        return "an HTML page, not the file itself; the download failed, perhaps without a login; download it again"
    return None


def unzipped(content: bytes, path: str | os.PathLike[str]) -> bytes:
    """Decompress content if it is gzip; raises an HqsamError if it is damaged or too large."""
    if not content.startswith(GZIP):
        return content
    parts: list[bytes] = []
    left = LARGEST_UNZIPPED
    while content:  # of one or several gzip members
        unzip = zlib.decompressobj(wbits=31)
        try:
            parts.append(unzip.decompress(content, left))
        except zlib.error as error:
            raise HqsamError(f"broken gzip ({error})", file=path, remedy="download it again") from None
        left -= len(parts[-1])
        if not unzip.eof or left <= 0:
            reason = f"gzip that is truncated or larger than {LARGEST_UNZIPPED} bytes"
            raise HqsamError(reason, file=path, remedy="download it again")
        content = unzip.unused_data.lstrip(b"\0")
    return b"".join(parts)
