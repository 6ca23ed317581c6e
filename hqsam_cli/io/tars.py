"""Tar archives of images, such as WebDataset shards: read in place, never extracted.

As if extracted by tar, the last of several members of one name counts, and links stand for their targets.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import HqsamError, UsageError, first_line
from .addresses import TRY_AGAIN, exists, file_system, info_of, is_address, is_transient, stamp_of, with_retries
from .files import InputFile
from .names import host_of, relative_name

SUFFIX = ".tar"
SIDECAR = ".json"
BLOCK = 1 << 16  # bytes per request: headers of several small members, or of one large member
MAX_SIDECAR = 1 << 24  # bytes
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
COMPRESSED_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
MAX_LINKS = 40  # followed in a chain of links, as in Linux


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar: normalized name, byte range (empty for a broken link), and content if it is JSON."""

    name: str
    start: int
    size: int
    content: bytes | None = None


@dataclass(slots=True)
class Tar:
    """The files of a tar by name, in order; its stamp; and the error that ended reading, if any."""

    stamp: str = ""
    members: dict[str, Member] = field(default_factory=dict)
    problem: str | None = None


def is_tar(path: str) -> bool:
    """Whether a path or URL is named like a tar."""
    return path.partition("?")[0].lower().endswith(SUFFIX)


def check_not_compressed(path: str, magic: bytes = b"") -> None:
    """Raise a UsageError if a tar is compressed, by name or magic bytes: members cannot be read in place."""
    if path.partition("?")[0].lower().endswith(COMPRESSED) or magic.startswith(COMPRESSED_MAGIC):
        remedy = "decompress it first (gunzip, bunzip2, unxz, unzstd)"
        raise UsageError("a compressed tar, which cannot be read in parts", file=path, remedy=remedy)


def gone_images(paths: Iterable[str], listed: Collection[str] = ()) -> set[str]:
    """The images, files or members of tars, that no longer exist; images with an unknown state are not included.

    After a server fails to respond for one image, it is not queried for others.

    Args:
        listed: tars whose members are known, and do not include the images.
    """
    silent: set[str] = set()

    def is_gone(path: str) -> bool:
        host = host_of(path)
        if host in silent:
            return False
        try:
            return not exists(path)
        except Exception as error:
            if host and is_transient(error):
                silent.add(host)
            return False

    def is_image_gone(path: str) -> bool:
        if not is_gone(path):
            return False
        parts = path.split("/")
        tars = ("/".join(parts[:end]) for end in range(1, len(parts)) if is_tar(parts[end - 1]))
        tar = next((tar for tar in tars if not os.path.isdir(tar)), None)
        return tar is None or tar in listed or is_gone(tar)

    return set(filter(is_image_gone, paths))


def read_tar(path: str) -> Tar:
    """Read the members of a tar, little more than its headers; errors are stored in `problem`."""
    tar = Tar()
    try:
        tar.stamp, file = with_retries(lambda: _open(path))
        with file:
            check_not_compressed(path, file.read(tarfile.BLOCKSIZE))
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:") as opened:
                _read_members(opened, tar.members)
                file.seek(opened.offset)
                if any(file.read(tarfile.BLOCKSIZE)):  # tarfile stops here without an error
                    raise tarfile.ReadError(f"no header after {len(tar.members)} files")
    except HqsamError:
        raise
    except Exception as error:
        reason, remedy = f"cannot be read ({first_line(error)})", TRY_AGAIN
        if isinstance(error, tarfile.TarError | EOFError):
            reason, remedy = f"broken tar ({first_line(error)})", "download it again"
        elif isinstance(error, FileNotFoundError):
            reason, remedy = "no such file", "check the path"
        tar.problem = str(HqsamError(reason, file=path, remedy=remedy))
    return tar


def _open(path: str) -> tuple[str, Any]:
    """The stamp of a tar, and the open file."""
    if not is_address(path):
        local = InputFile(path)
        return local.stamp(), local.head()
    system, remote = file_system(path)
    stamp = stamp_of(info_of(system, remote))
    file = system.open(remote, "rb", block_size=BLOCK, cache_type="readahead")
    read = file.read

    def read_with_retries(size: int = -1) -> bytes:
        position = file.tell()

        def attempt() -> bytes:
            file.seek(position)
            return bytes(read(size))

        return with_retries(attempt)

    file.read = read_with_retries
    if path.startswith("http"):
        try:
            file.seek(1)
            file.read(1)
            file.seek(0)
        except ValueError:  # the response to a range request is the whole file
            reason = "its server does not send parts of a file"
            raise HqsamError(reason, file=path, remedy="download the tar first") from None
    return stamp, file


def _read_members(opened: tarfile.TarFile, members: dict[str, Member]) -> None:
    """Add the files of a tar, and the targets of its links, to a dict, until an error."""
    links: dict[str, str] = {}
    try:
        while (info := opened.next()) is not None:
            name = relative_name(info.name)
            links.pop(name, None)
            if info.isreg():
                content = None
                if os.path.splitext(name)[1].lower() == SIDECAR and info.size <= MAX_SIDECAR:
                    file = opened.extractfile(info)
                    content = None if file is None else file.read()
                members[name] = Member(name, info.offset_data, info.size, content)
            elif info.islnk() and (target := members.get(relative_name(info.linkname))) is not None:
                members[name] = replace(target, name=name)
            elif info.issym():
                members[name] = Member(name, 0, 0)
                links[name] = relative_name(posixpath.join("/", posixpath.dirname(name), info.linkname))
    finally:
        for name, target_name in links.items():
            for _ in range(MAX_LINKS):
                target_name = links.get(target_name, target_name)
            if target_name in members:
                members[name] = replace(members[target_name], name=name)
