"""Tars of many small files, as WebDataset has them: read where they are, never unpacked.

They hold what tar would extract: of members of one name the last, and links to files in them as these files.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, cast

from ..errors import HqsamError, UsageError
from .places import LocalFile, file_system, info_of, is_address, is_there, patiently, reason_of, stamp_of

SUFFIX = ".tar"
SIDECAR = ".json"
BLOCK = 1 << 16  # bytes that are asked for at once: the headers of small members, or one of a large one
LARGEST_SIDECAR = 1 << 24  # bytes
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
COMPRESSED_BEGIN = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
MOST_LINKS = 40  # one after the other, as Linux has it


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar.

    Attributes:
        name: relative, without `.` and `..`.
        start, size: which bytes of the tar; none of a link that leads nowhere.
        content: of a JSON.
    """

    name: str
    start: int
    size: int
    content: bytes | None = None


@dataclass(slots=True)
class Tar:
    """What a tar holds.

    Attributes:
        stamp: of the tar.
        members: its files by name, in its order.
        problem: why there may be more.
    """

    stamp: str = ""
    members: dict[str, Member] = field(default_factory=dict)
    problem: str | None = None


def is_tar(path: str) -> bool:
    """Whether a path or an address is a tar's, by its name."""
    return path.partition("?")[0].lower().endswith(SUFFIX)


def check_not_compressed(path: str, begin: bytes = b"") -> None:
    """Raise a UsageError where a tar is compressed, by its name or its first bytes: it has no parts to read."""
    if path.partition("?")[0].lower().endswith(COMPRESSED) or begin.startswith(COMPRESSED_BEGIN):
        remedy = "decompress it first (gunzip, bunzip2, unxz, unzstd)"
        raise UsageError("a compressed tar, which cannot be read in parts", file=path, remedy=remedy)


def holder_of(path: str) -> str | None:
    """The tar that a file is in, by its path; None of one in a folder."""
    parts = path.split("/")
    holders = ("/".join(parts[:count]) for count in range(1, len(parts)) if is_tar(parts[count - 1]))
    return next((holder for holder in holders if not os.path.isdir(holder)), None)


def is_image_gone(path: str, listed: Collection[str] = ()) -> bool:
    """Whether an image is not there any more, be it a file or in a tar.

    Args:
        listed: tars whose members are known, of which the image is none; what others hold nobody has looked at.
    """
    if is_there(path):
        return False
    holder = holder_of(path)
    return holder is None or holder in listed or not is_there(holder)


def read_tar(path: str) -> Tar:
    """The members of a tar; of a remote one little more than their headers is fetched.

    Raises:
        HqsamError: it cannot be read in parts.
    """
    tar = Tar()
    try:
        tar.stamp, file = patiently(lambda: _open(path))
        with file:
            check_not_compressed(path, file.read(tarfile.BLOCKSIZE))
            file.seek(0)
            with tarfile.open(fileobj=file, mode="r:") as opened:
                _read_members(opened, tar.members)  # one by one: those before a break are sound
                file.seek(opened.offset)
                if any(file.read(tarfile.BLOCKSIZE)):  # where tarfile just ends
                    tar.problem = f"{path}: broken tar (no header after {len(tar.members)} files); fetch it again"
    except HqsamError:
        raise
    except (tarfile.TarError, EOFError) as error:
        tar.problem = f"{path}: broken tar ({reason_of(error)}); fetch it again"
    except FileNotFoundError:
        tar.problem = f"{path}: no such file; check the path"
    except Exception as error:
        tar.problem = f"{path}: cannot be read ({reason_of(error)}); the same command tries it again"
    return tar


def _open(path: str) -> tuple[str, BinaryIO]:
    """The stamp of a tar, and the tar."""
    if not is_address(path):
        local = LocalFile(path)
        return local.stamp(), local.open()
    system, place = file_system(path)
    stamp = stamp_of(info_of(system, place))
    file = cast(BinaryIO, _Patient(system.open(place, "rb", block_size=BLOCK, cache_type="readahead")))
    if path.startswith("http"):
        try:
            file.seek(1)
            file.read(1)
            file.seek(0)
        except ValueError:  # a part is asked for, and all of it answered
            raise HqsamError(
                "its server does not send parts of a file", file=path, remedy="download the tar first"
            ) from None
    return stamp, file


def _read_members(opened: tarfile.TarFile, members: dict[str, Member]) -> None:
    """Put the files of a tar, and what its links lead to, into a dict."""
    links: dict[str, str] = {}
    try:
        while (info := opened.next()) is not None:
            name = _plain(info.name)
            links.pop(name, None)
            if info.isreg():
                content = None
                if os.path.splitext(name)[1].lower() == SIDECAR and info.size <= LARGEST_SIDECAR:
                    file = opened.extractfile(info)
                    content = None if file is None else file.read()
                members[name] = Member(name, info.offset_data, info.size, content)
            elif info.islnk() and (target := members.get(_plain(info.linkname))) is not None:
                members[name] = replace(target, name=name)
            elif info.issym():
                members[name] = Member(name, 0, 0)
                links[name] = _plain(posixpath.join("/", posixpath.dirname(name), info.linkname))
    finally:
        for name, at in links.items():
            for _ in range(MOST_LINKS):
                at = links.get(at, at)
            if at in members:
                members[name] = replace(members[at], name=name)


def _plain(name: str) -> str:
    return posixpath.normpath(f"/{name}").lstrip("/")


class _Patient:
    """A remote file that tries again what passes by itself."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __enter__(self) -> _Patient:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def seek(self, place: int, whence: int = 0) -> int:
        return int(self.file.seek(place, whence))

    def tell(self) -> int:
        return int(self.file.tell())

    def read(self, size: int = -1) -> bytes:
        place = self.file.tell()

        def again() -> bytes:
            self.file.seek(place)
            return bytes(self.file.read(size))

        return patiently(again)
