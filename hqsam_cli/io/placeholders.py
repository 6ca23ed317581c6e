"""Files in place of others that were not downloaded: Git LFS pointers and HTML error pages."""

from __future__ import annotations

LFS = b"version https://git-lfs"
HTML = (b"<!doctype html", b"<html", b"<head", b"<!--")
HEAD = 64  # bytes that tell


def describe_placeholder(head: bytes) -> str | None:
    """What a file that begins so is, and what to do; None if it is no placeholder."""
    if head.startswith(LFS):
        return "a Git LFS pointer, not the file itself; fetch it with git lfs pull"
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(HTML):
        return "an HTML page, not the file itself; the download failed, perhaps without a login; fetch it again"
    return None
