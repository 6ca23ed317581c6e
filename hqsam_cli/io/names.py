"""Image paths as written by other programs, normalized for comparison."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

ADDRESS = re.compile(r"(?:[A-Za-z0-9]+::)*[A-Za-z][A-Za-z0-9+.-]+://")  # possibly chained, as in fsspec
DRIVE = re.compile(r"[A-Za-z]:")


def plain_name(name: str) -> str:
    """Normalize a name: with `/`, percent-decoded, Unicode NFC, without host, drive and `.` or `..` inside.

    `C:\\imgs\\a%20b.jpg`, `https://host/imgs/a%20b.jpg?width=9` and `x/../imgs/a b.jpg` are all `imgs/a b.jpg`.
    A relative name that leads out of its folder keeps its leading `..`.
    """
    if ADDRESS.match(name):
        name = link_with_path(name)
        try:
            name = urlsplit(name).path
        except ValueError:  # such as a URL with an unmatched bracket
            name = name.split("://", 1)[1].partition("/")[2]
    return unicodedata.normalize("NFC", _slashes(unquote(name, errors="surrogateescape").strip()))


def link_with_path(address: str) -> str:
    """The first of chained URLs that has a path: `s3://bucket/a` of `simplecache::s3://bucket/a`."""
    return next((link for link in address.split("::") if ADDRESS.match(link)), address)


def host_of(path: str) -> str:
    """The protocol with the host, account or bucket of a URL; "" for a path."""
    link = link_with_path(path)
    return "/".join(link.split("/", 3)[:3]) if ADDRESS.match(link) else ""


def relative_name(name: str) -> str:
    """A normalized relative path that does not lead above the folder it is joined to."""
    return posixpath.normpath(f"/{name}").lstrip("/")


def _slashes(name: str) -> str:
    """Normalize a Windows or POSIX path to a relative one with `/`."""
    return posixpath.normpath(DRIVE.sub("", name).replace("\\", "/")).lstrip("/") or "."


def leaves_folder(name: str) -> bool:
    """Whether a relative name leads out of its folder, or is invalid."""
    return "\0" in name or _slashes(name).split("/")[0] == ".."


def is_absolute(name: str) -> bool:
    """Whether a name is an absolute path or a URL."""
    return name.startswith(("/", "\\")) or bool(DRIVE.match(name) or ADDRESS.match(name))


def tails(name: str) -> Iterator[str]:
    """`b/c.jpg` and `c.jpg` of `a/b/c.jpg`, longest first."""
    while "/" in name:
        name = name.split("/", 1)[1]
        yield name
