"""Files that only stand where another should be, as failed downloads leave them."""

from __future__ import annotations

LFS = b"version https://git-lfs"
PAGES = (b"<!doctype html", b"<html", b"<head", b"<!--")
HEAD = 64  # bytes of a file that tell


def describe_stand_in(head: bytes) -> str | None:
    """What a file is that begins so, and what to do; None where it may be the file itself."""
    if head.startswith(LFS):
        return "a Git LFS pointer, not the file itself; fetch it with git lfs pull"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith(PAGES):
        return "a web page, not the file itself; the download went wrong, perhaps for want of a login; fetch it again"
    return None
