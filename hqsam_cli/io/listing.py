"""Files below a URL.

fsspec's `find` silently skips folders that cannot be listed, so it is used only for file systems that list all keys
below a prefix at once, such as object stores. Elsewhere each folder is listed, and over HTTP pages of links are parsed
here: fsspec neither decodes names nor skips links that sort the page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

from ..errors import HqsamError, first_line
from .addresses import (
    GONE_STATUS,
    TRY_AGAIN,
    check_ftp_listing,
    connect,
    file_system,
    info_of,
    is_transient,
    speaks,
    with_retries,
)
from .names import link_with_path


class StoredFile(NamedTuple):
    """A file below a URL: its relative path, not percent-encoded, or ""; its URL; fsspec's `info` of it."""

    name: str
    address: str
    info: Mapping[str, Any]

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, or an empty object that marks one."""
        return self.info.get("type") == "directory" or self.name.endswith("/")


def files_below(address: str, pattern: str | None = None, refused: list[str] | None = None) -> list[StoredFile]:
    """List all files below a URL, or the file at it; empty if there is none.

    Args:
        pattern: a glob for names; folders without matches are not listed.
        refused: receives an error message for each subfolder that the server refuses to list; None raises the error.

    Raises:
        HqsamError: the URL, or a folder below it, cannot be listed.
    """
    system, root = connect(address)
    if _lists_prefixes(system) and (pattern is None or "**" in pattern):
        files = _list(address, lambda _: _find(system, root, address))
        return [file for file in files if not file.is_folder and _matches(file.name, pattern)]
    files = []
    folders = [StoredFile("", address, {})]
    entered = set()
    for folder in folders:
        try:
            entries = _list(folder.address, _list_links if speaks(system, "http") else _list_folder)
        except _RefusedError as error:
            if refused is None or not folder.name:
                raise
            refused.append(str(error))
            continue
        for entry in entries:
            file = entry._replace(name=f"{folder.name}/{entry.name}".lstrip("/") if folder.name else entry.name)
            # A local link may lead to a parent folder.
            key = os.path.realpath(file_system(file.address)[1]) if speaks(system, "file") else file.address
            if not file.is_folder:
                files.append(file)
            elif key not in entered and _may_contain(file.name, pattern):
                entered.add(key)
                folders.append(file)
    return [file for file in files if _matches(file.name, pattern)]


def address_below(address: str, name: str) -> str:
    """The URL of a name below another URL."""
    link = link_with_path(address)
    if link.startswith("http"):
        name = quote(name, errors="surrogateescape")
    return address.replace(link, f"{link}{'' if link.endswith('/') else '/'}{name}", 1)


def is_folder_marker(file: StoredFile) -> bool:
    """Whether an empty object marks a folder; adlfs lists it without a trailing slash."""
    if file.info.get("size") != 0:
        return False
    try:
        return bool(info_of(*file_system(file.address)).get("type") == "directory")
    except Exception:
        return False  # reported when it is read


class _RefusedError(HqsamError):
    """A folder that the server refuses to list; a retry would not help."""


def _list(address: str, entries: Callable[[str], Iterator[StoredFile]]) -> list[StoredFile]:
    """List a folder, with retries; empty if it does not exist. Raises a `_RefusedError` or another HqsamError."""
    try:
        return with_retries(lambda: list(entries(address)))
    except FileNotFoundError:
        return []
    except HqsamError:
        raise
    except Exception as error:
        kind = HqsamError if is_transient(error) else _RefusedError
        raise kind(f"cannot be listed ({first_line(error)})", file=address, remedy=TRY_AGAIN) from None


def _lists_prefixes(system: Any) -> bool:
    """Whether a file system has its own `find`, which lists by prefix."""
    from fsspec import AbstractFileSystem
    from fsspec.asyn import AsyncFileSystem

    base, name = (AsyncFileSystem, "_find") if isinstance(system, AsyncFileSystem) else (AbstractFileSystem, "find")
    return getattr(type(system), name) is not getattr(base, name)


def _find(system: Any, root: str, address: str) -> Iterator[StoredFile]:
    """All objects below a prefix."""
    infos = system.find(root, detail=True)
    if not isinstance(infos, dict):  # adlfs returns a list of names for a single blob
        infos = {path: system.info(path) for path in infos}
    return (_stored_file(system, root, address, path, info) for path, info in infos.items())


def _list_folder(address: str) -> Iterator[StoredFile]:
    """List a folder; FTP uses a new connection for each retry."""
    system, root = file_system(address)
    try:
        infos = system.ls(root, detail=True)
    except FileNotFoundError:
        infos = []
    if not infos and speaks(system, "ftp"):
        check_ftp_listing(system, root)
    files = (_stored_file(system, root, address, info["name"], info) for info in infos)
    return (file for file in files if file.name or not file.is_folder)


def _stored_file(system: Any, root: str, address: str, path: str, info: Mapping[str, Any]) -> StoredFile:
    """A file of a file system, with the host and account of the listed URL."""
    name = path.removeprefix(root.rstrip("/")).removeprefix("/")
    if speaks(system, "file"):  # absolute, even if the URL is relative
        return StoredFile(name, system.unstrip_protocol(path), info)
    return StoredFile(name, address_below(address, name) if name else address, info)


def _matches(name: str, pattern: str | None) -> bool:
    from fsspec.utils import glob_translate

    return pattern is None or re.match(glob_translate(pattern), name) is not None


def _may_contain(folder: str, pattern: str | None) -> bool:
    """Whether a folder may contain matching files."""
    if pattern is None or "**" in pattern:
        return True
    parts, depth = pattern.split("/"), folder.count("/") + 1
    return depth < len(parts) and _matches(folder, "/".join(parts[:depth]))


def _list_links(address: str) -> Iterator[StoredFile]:
    """Yield the links of an HTML page to URLs below it, or the file at the URL if it is not HTML."""
    from fsspec.asyn import sync

    system, _ = file_system(address)
    page = sync(system.loop, _fetch_page, system, address)
    if page is None:
        yield StoredFile("", address, info_of(system, address))
        return
    url, text = page
    links = _Links()
    links.feed(text)
    top = unquote(urlsplit(url).path, errors="surrogateescape")
    seen = set()
    for link in sorted(links.found, key=lambda link: "?" in link):  # prefer links without a query
        try:
            parts = urlsplit(urljoin(url, link.strip()))
        except ValueError:
            continue
        path = unquote(parts.path, errors="surrogateescape")
        name = path.removeprefix(top)
        if parts.netloc != urlsplit(url).netloc or name in ("", path) or name in seen or ".." in name.split("/"):
            continue
        seen.add(name)
        below = f"{address_below(url, name)}{'?' if parts.query else ''}{parts.query}"
        yield StoredFile(name.rstrip("/"), below, {"type": "directory" if name.endswith("/") else "file"})


async def _fetch_page(system: Any, address: str) -> tuple[str, str] | None:
    """The URL of an HTML page, with a trailing slash, and its text; None if it is not HTML."""
    session = await system.set_session()
    async with session.get(system.encode_url(address), **system.kwargs) as answer:
        if answer.status in GONE_STATUS:
            raise FileNotFoundError(address)
        answer.raise_for_status()
        if "html" not in answer.content_type:
            return None
        asked, final = urlsplit(address), urlsplit(str(answer.url))
        same = (asked.hostname, asked.port) == (final.hostname, final.port)
        host = asked.netloc if same else final.netloc  # the response URL has no user and password
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
