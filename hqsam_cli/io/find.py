"""Which images a command line means, and what each is called in the results."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from ..configs import JOURNAL
from ..errors import UsageError
from .images import READ_SUFFIXES
from .suffixes import HEIF_SUFFIXES, OTHER_IMAGES

STDIN = "-"
# Folders of an output that hold images.
OUTPUTS = ("masks", "idmaps", "yolo-seg", "cutouts", "crops", "overlays", "report")
# Thumbnails, bins and snapshots of servers and desktops, in lower case; what begins with a dot is left out anyway.
JUNK = (
    "@eadir",
    "@recycle",
    "@tmp",
    "#recycle",
    "#snapshot",
    "__macosx",
    "$recycle.bin",
    "system volume information",
    "lost+found",
)


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image to process.

    Attributes:
        path: as it is opened; bytes that are not UTF-8 are held as surrogate escapes.
        file_name: its name in the results: relative, with `/`, without `..`.
    """

    path: str
    file_name: str


@dataclass(frozen=True, slots=True)
class Found:
    """What the inputs hold.

    Attributes:
        images: in a stable order, each once.
        unread: paths of images of kinds that are not read.
        passed: paths of folders and files that are no inputs: thumbnails, bins, hidden ones, outputs of runs.
    """

    images: list[SourceImage] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)


def find_images(
    inputs: list[str],
    *,
    stdin: BinaryIO | None = None,
    null_separated: bool = False,
    exclude: list[str] | None = None,
) -> Found:
    """All images of the inputs.

    A folder is searched recursively, into links too but each folder once, and its images are named relative to it. A
    file, a match of a glob and a path from stdin are named relative to the working directory (outside it: by
    their absolute path without the leading slash). What cannot be read, a missing file or a folder without
    permission, is kept so that the run reports it.

    Args:
        inputs: files, folders, globs, or `-` for paths from `stdin`.
        null_separated: paths on `stdin` end in NUL rather than in a newline.
        exclude: folders below an input that are not entered, such as the output.

    Raises:
        UsageError: two different images would have the same name in the results, an input is empty, or paths on
            stdin end in NUL though that was not said.
    """
    banned = {os.path.realpath(folder) for folder in exclude or []}
    result = Found()
    found: dict[str, SourceImage] = {}
    seen: set[str] = set()
    for item in inputs:
        for image in _images_of(item, stdin, null_separated, banned, result):
            place = os.path.abspath(image.path)
            if place in seen:
                continue
            seen.add(place)
            known = found.setdefault(image.file_name, image)
            if known is not image and os.path.realpath(known.path) != os.path.realpath(image.path):
                raise UsageError(
                    f"{known.path} and {image.path} would both be called {image.file_name} in the results",
                    remedy="give the folder that holds both",
                )
    result.images.extend(found.values())
    return result


def _images_of(
    item: str, stdin: BinaryIO | None, null_separated: bool, banned: set[str], result: Found
) -> Iterator[SourceImage]:
    if not item:
        raise UsageError("an input is an empty name", remedy="give images, folders of images, globs, or -")
    if item == STDIN:
        assert stdin is not None
        for path in _paths(stdin, null_separated):
            # A folder among the paths is an image that cannot be read, which the run says.
            yield SourceImage(path, named_by_path(path))
    elif os.path.isdir(item):
        for path in _walk(item, banned, result):
            name = os.path.relpath(path, item).replace(os.sep, "/")
            yield SourceImage(path, named_by_path(item) if name == os.curdir else name)
    elif not os.path.lexists(item) and glob.has_magic(item):
        for path in _matches(item, banned, result):
            yield SourceImage(path, named_by_path(path))
    else:
        yield SourceImage(item, named_by_path(item))


def _paths(stdin: BinaryIO, null_separated: bool) -> Iterator[str]:
    separator = b"\0" if null_separated else b"\n"
    for line in stdin.read().split(separator):
        line = line if null_separated else line.rstrip(b"\r")
        if b"\0" in line:
            raise UsageError("the paths on stdin end in NUL", remedy="pass -0")
        if line:
            yield os.fsdecode(line)


def _walk(folder: str, banned: set[str], result: Found) -> Iterator[str]:
    """Image files below a folder, sorted; no folder is entered twice, and unreadable ones come last."""
    unreadable: list[str] = []
    entered = {os.path.realpath(folder)}
    walk = os.walk(folder, followlinks=True, onerror=lambda error: unreadable.append(error.filename))
    for root, folders, files in walk:
        own = JOURNAL in files
        kept = []
        for name in sorted(folders):
            path = os.path.join(root, name)
            place = os.path.realpath(path)
            if place in banned or place in entered:
                continue
            if is_junk(name) or (own and name in OUTPUTS):
                result.passed.append(path)
            else:
                entered.add(place)
                kept.append(name)
        folders[:] = kept
        for name in sorted(files):
            path = os.path.join(root, name)
            if name.lower().endswith(READ_SUFFIXES):
                if name.startswith("."):
                    result.passed.append(path)
                else:
                    yield path
            elif name.lower().endswith((*HEIF_SUFFIXES, *OTHER_IMAGES)) and not name.startswith("."):
                result.unread.append(path)
    yield from unreadable


def is_junk(name: str) -> bool:
    """Whether a folder of that name holds thumbnails, bins or what else is hidden."""
    return name.startswith(".") or name.lower() in JUNK


def _matches(pattern: str, banned: set[str], result: Found) -> Iterator[str]:
    """Image files that a glob means, sorted, but for those in a banned folder below where the wildcards begin."""
    fixed = os.path.dirname(re.split(r"[*?[]", pattern, maxsplit=1)[0])
    below = os.path.join(os.path.realpath(fixed), "")
    inner = tuple(os.path.join(folder, "") for folder in banned if folder.startswith(below))
    for path in sorted(glob.glob(pattern, recursive=True)):
        if path.lower().endswith((*HEIF_SUFFIXES, *OTHER_IMAGES)) and not path.lower().endswith(READ_SUFFIXES):
            result.unread.append(path)
        junk = any(is_junk(part) for part in os.path.dirname(path).split(os.sep) if part.strip("."))
        if path.lower().endswith(READ_SUFFIXES) and not junk and not os.path.isdir(path):
            folder = os.path.join(os.path.realpath(os.path.dirname(path)), "")
            if not folder.startswith(inner) and not _is_output(os.path.dirname(path), fixed):
                yield path


def _is_output(folder: str, fixed: str) -> bool:
    """Whether a folder is, or lies in, one of the folders of outputs of a run, below `fixed`."""
    while len(folder) > len(fixed):
        parent, name = os.path.split(folder)
        if name in OUTPUTS and os.path.isfile(os.path.join(parent, JOURNAL)):
            return True
        folder = parent
    return False


def named_by_path(path: str) -> str:
    """The name of an image that was given by its path; never one that means a folder above what it is joined to."""
    absolute = os.path.normpath(os.path.join(os.getcwd(), path))
    relative = os.path.relpath(absolute, os.getcwd())
    if relative in (os.curdir, os.pardir) or relative.startswith(os.pardir + os.sep):
        relative = absolute.lstrip(os.sep) or "root"
    return relative.replace(os.sep, "/")
