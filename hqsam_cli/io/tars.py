"""Tars of many small files, as WebDataset has them: read where they are, never unpacked."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from ..errors import HqsamError
from .places import LocalFile, file_system, info_of, is_address, is_there, patiently, reason_of, stamp_of

SUFFIX = ".tar"
SIDECAR = ".json"
BLOCK = 1 << 16  # bytes that are asked for at once: the headers of small members, or one of a large one
LARGEST_SIDECAR = 1 << 24  # bytes


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a tar.

    Attributes:
        name: as the tar has it.
        start, size: which bytes of the tar.
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
        members: its files, in its order.
        problem: why there may be more.
    """

    stamp: str = ""
    members: list[Member] = field(default_factory=list)
    problem: str | None = None


def is_tar(path: str) -> bool:
    """Whether a path or an address is a tar's, by its name."""
    return path.partition("?")[0].lower().endswith(SUFFIX)


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
    """The members of a tar; of a remote one little more than their headers is fetched."""
    tar = Tar()
    try:
        tar.stamp, file = patiently(lambda: _open(path))
        with file, tarfile.open(fileobj=file, mode="r:") as opened:
            for member in _members(opened):  # one by one: those before a break are sound
                tar.members.append(member)
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
    file = _Patient(system.open(place, "rb", block_size=BLOCK, cache_type="readahead"))
    return stamp, cast(BinaryIO, file)


def _members(opened: tarfile.TarFile) -> Iterator[Member]:
    while (info := opened.next()) is not None:
        if info.isreg():
            content = None
            if os.path.splitext(info.name)[1].lower() == SIDECAR and info.size <= LARGEST_SIDECAR:
                file = opened.extractfile(info)
                content = None if file is None else file.read()
            yield Member(info.name, info.offset_data, info.size, content)


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
