"""What is below an address, as a folder has it.

fsspec's `find` leaves out folders that cannot be listed without a word, so it is asked only where all keys below a
prefix are listed at once, as object stores do. Elsewhere each folder is listed, and pages of links over HTTP are read
here: fsspec neither decodes names nor leaves out links that sort the page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

from ..errors import HqsamError
from .names import link_with_path
from .places import (
    GONE_STATUS,
    TRY_AGAIN,
    check_listed,
    file_system,
    info_of,
    may_pass,
    patiently,
    reach,
    reason_of,
    speaks,
)


class StoredFile(NamedTuple):
    """A file below an address.

    Attributes:
        name: its path below that address, "" of the file at the address itself; never percent-encoded.
        address: its own.
        info: what the file system says of it.
    """

    name: str
    address: str
    info: Mapping[str, Any]


def files_below(address: str, pattern: str | None = None, refused: list[str] | None = None) -> list[StoredFile]:
    """All files below an address, or the file there; none where nothing is.

    Args:
        pattern: a glob that their names match; folders that cannot hold such files are not listed.
        refused: takes a sentence for each folder below the address that the server refuses to list; without it that is
            an error.

    Raises:
        HqsamError: the address, or a folder below it, cannot be listed.
    """
    system, root = reach(address)
    if _lists_flat(system) and (pattern is None or "**" in pattern):
        entries = _listed(address, lambda _: _found(system, root, address))
        return [file for file in entries if not _is_folder(file) and _matches(file.name, pattern)]
    files = []
    folders = [StoredFile("", address, {})]
    entered = set()
    for folder in folders:
        try:
            entries = _listed(folder.address, _linked if speaks(system, "http") else _entries)
        except _RefusedError as error:
            if refused is None or not folder.name:
                raise
            refused.append(str(error))
            continue
        for name, place, info in entries:
            file = StoredFile(f"{folder.name}/{name}".lstrip("/") if folder.name else name, place, info)
            # A link of a file system of this machine may lead to a folder above it.
            key = os.path.realpath(file_system(place)[1]) if speaks(system, "file") else place
            if not _is_folder(file):
                files.append(file)
            elif key not in entered and _may_hold(file.name, pattern):
                entered.add(key)
                folders.append(file)
    return [file for file in files if _matches(file.name, pattern)]


def address_below(address: str, name: str) -> str:
    """The address of what is below another one."""
    link = link_with_path(address)
    if link.startswith("http"):
        name = quote(name, errors="surrogateescape")
    return address.replace(link, f"{link}{'' if link.endswith('/') else '/'}{name}", 1)


def stands_for_folder(file: StoredFile) -> bool:
    """Whether a file without bytes is the marker of a folder, which adlfs lists by the name of the folder."""
    if file.info.get("size") != 0:
        return False
    try:
        return bool(info_of(*file_system(file.address)).get("type") == "directory")
    except Exception:
        return False  # whoever reads it says what is wrong


class _RefusedError(HqsamError):
    """A folder that cannot be listed, now or later."""


def _listed(address: str, entries: Callable[[str], Iterator[StoredFile]]) -> list[StoredFile]:
    """What is in a folder, with retries; nothing where it is not there.

    Raises:
        _RefusedError: the server refuses, which will not pass.
        HqsamError: the server is not there.
    """
    try:
        return patiently(lambda: list(entries(address)))
    except FileNotFoundError:
        return []
    except HqsamError:
        raise
    except Exception as error:
        kind = HqsamError if may_pass(error) else _RefusedError
        raise kind(f"cannot be listed ({reason_of(error)})", file=address, remedy=TRY_AGAIN) from None


def _lists_flat(system: Any) -> bool:
    """Whether a file system has a `find` of its own, which lists by prefix."""
    from fsspec import AbstractFileSystem
    from fsspec.asyn import AsyncFileSystem

    kind = type(system)
    if isinstance(system, AsyncFileSystem):
        return kind._find is not AsyncFileSystem._find
    return kind.find is not AbstractFileSystem.find


def _found(system: Any, root: str, address: str) -> Iterator[StoredFile]:
    """All that is below a prefix."""
    infos = system.find(root, detail=True)
    if not isinstance(infos, dict):  # adlfs lists the name of a single blob
        infos = {path: system.info(path) for path in infos}
    for path, info in infos.items():
        yield _below(system, root, address, path, info)


def _entries(address: str) -> Iterator[StoredFile]:
    """What is in a folder; a new connection each time where connections are not kept."""
    system, root = file_system(address)
    try:
        infos = system.ls(root, detail=True)
    except FileNotFoundError:
        infos = []
    if not infos and speaks(system, "ftp"):
        check_listed(system, root)
    for info in infos:
        file = _below(system, root, address, info["name"], info)
        if file.name or not _is_folder(file):
            yield file


def _below(system: Any, root: str, address: str, path: str, info: Mapping[str, Any]) -> StoredFile:
    """What a file system calls a path, by an address that has the host and the account of the one that was given."""
    name = path.removeprefix(root.rstrip("/")).removeprefix("/")
    if speaks(system, "file"):  # where the address is relative, to nothing that is remembered
        return StoredFile(name, system.unstrip_protocol(path), info)
    return StoredFile(name, address_below(address, name) if name else address, info)


def _is_folder(file: StoredFile) -> bool:
    """Whether an entry is a folder, or an object without bytes that stands for one."""
    return file.info.get("type") == "directory" or file.name.endswith("/")


def _matches(name: str, pattern: str | None) -> bool:
    return pattern is None or _translated(pattern).match(name) is not None


def _may_hold(folder: str, pattern: str | None) -> bool:
    """Whether files that match may be in a folder."""
    if pattern is None or "**" in pattern:
        return True
    depth = folder.count("/") + 1
    parts = pattern.split("/")
    return depth < len(parts) and _matches(folder, "/".join(parts[:depth]))


def _translated(pattern: str) -> re.Pattern[str]:
    from fsspec.utils import glob_translate

    return re.compile(glob_translate(pattern))


def _linked(address: str) -> Iterator[StoredFile]:
    """What a page links to below itself; the file at the address where it is no page."""
    from fsspec.asyn import sync

    system, _ = file_system(address)
    page = sync(system.loop, _page, system, address)
    if page is None:
        yield StoredFile("", address, info_of(system, address))
        return
    url, text = page
    links = _Links()
    links.feed(text)
    top = unquote(urlsplit(url).path, errors="surrogateescape")
    seen = set()
    for link in sorted(links.found, key=lambda link: "?" in link):  # the plain one of several
        try:
            parts = urlsplit(urljoin(url, link.strip()))
        except ValueError:
            continue
        path = unquote(parts.path, errors="surrogateescape")
        name = path.removeprefix(top)
        if parts.netloc != urlsplit(url).netloc or name in ("", path) or name in seen or ".." in name.split("/"):
            continue
        seen.add(name)
        place = f"{address_below(url, name)}{'?' if parts.query else ''}{parts.query}"
        yield StoredFile(name.rstrip("/"), place, {"type": "directory" if name.endswith("/") else "file"})


async def _page(system: Any, address: str) -> tuple[str, str] | None:
    """The address of a page of links, with a slash at its end, and its text; None of what is no page."""
    session = await system.set_session()
    async with session.get(system.encode_url(address), **system.kwargs) as answer:
        if answer.status in GONE_STATUS:
            raise FileNotFoundError(address)
        answer.raise_for_status()
        if "html" not in answer.content_type:
            return None
        asked, final = urlsplit(address), urlsplit(str(answer.url))
        same = (asked.hostname, asked.port) == (final.hostname, final.port)
        host = asked.netloc if same else final.netloc  # the answer has no user and password
        return f"{final.scheme}://{host}{final.path.rstrip('/')}/", await answer.text(errors="ignore")


class _Links(HTMLParser):
    """The targets of the links of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See `HTMLParser`."""
        if tag == "a":
            self.found.extend(value for name, value in attrs if name == "href" and value)
