"""Names of files as other programs write them: where a path leads, whatever characters it is written with."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

ADDRESS = re.compile(r"(?:[A-Za-z0-9]+::)*[A-Za-z][A-Za-z0-9+.-]+://")  # perhaps chained, as fsspec writes it
DRIVE = re.compile(r"[A-Za-z]:")


def plain_name(name: str) -> str:
    """A name with `/`, percent signs decoded, one Unicode form, no address, no drive and no detours.

    `C:\\imgs\\a%20b.jpg`, `https://host/imgs/a%20b.jpg?width=9` and `x/../imgs/a b.jpg` are all `imgs/a b.jpg`.
    A name that leads out of the folder it is relative to keeps its `..`.
    """
    if ADDRESS.match(name):
        name = link_with_path(name)
        try:
            name = urlsplit(name).path
        except ValueError:  # such as an address with half a bracket
            name = name.split("://", 1)[1].partition("/")[2]
    return unicodedata.normalize("NFC", _slashes(unquote(name, errors="surrogateescape").strip()))


def link_with_path(address: str) -> str:
    """The first of chained addresses that has a path, of `simplecache::s3://bucket/a` the second."""
    return next((link for link in address.split("::") if ADDRESS.match(link)), address)


def _slashes(name: str) -> str:
    """A path of Windows or of here, in its shortest form and relative."""
    return posixpath.normpath(DRIVE.sub("", name).replace("\\", "/")).lstrip("/") or "."


def leaves_folder(name: str) -> bool:
    """Whether a relative name leads out of the folder that it is relative to, or nowhere."""
    return "\0" in name or _slashes(name).split("/")[0] == ".."


def is_absolute(name: str) -> bool:
    """Whether a name begins at the root of a disk or of a host."""
    return name.startswith(("/", "\\")) or bool(DRIVE.match(name) or ADDRESS.match(name))


def tails(name: str) -> Iterator[str]:
    """`b/c.jpg` and `c.jpg` of `a/b/c.jpg`, longest first."""
    while "/" in name:
        name = name.split("/", 1)[1]
        yield name
