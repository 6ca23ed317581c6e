"""Which images a command line means, and what each is called in the results."""

from __future__ import annotations

import glob
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote

from ..configs import JOURNAL, JOURNAL_FOLDER, JOURNAL_OBJECT
from ..errors import UsageError
from .images import READ_SUFFIXES
from .listing import StoredFile, files_below, stands_for_folder
from .names import link_with_path
from .places import (
    UNKNOWN,
    Fetched,
    LocalFile,
    Place,
    Stored,
    absolute_path,
    file_system,
    is_address,
    stamp_of,
)
from .suffixes import HEIF_SUFFIXES, OTHER_IMAGES
from .tars import SUFFIX, Member, check_not_compressed, is_tar, read_tar

STDIN = "-"
# Folders of an output that hold images.
OUTPUTS = ("masks", "idmaps", "yolo-seg", "cutouts", "crops", "overlays", "thumbnails", "report")
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
        stored: where it is, unless it is a file of this machine.
    """

    path: str
    file_name: str
    stored: Stored | None = None

    @property
    def absolute(self) -> str:
        """Its path, which means the same in any folder, or its address."""
        return absolute_path(self.path)

    def place(self) -> Place:
        """Where its bytes are."""
        return LocalFile(self.path) if self.stored is None else Fetched(self.path, self.stored)


@dataclass(frozen=True, slots=True)
class Found:
    """What the inputs hold.

    Attributes:
        images: in a stable order, each once.
        unread: paths of images of kinds that are not read.
        passed: paths of folders and files that are no inputs: thumbnails, bins, hidden ones, outputs of runs.
        broken: a sentence for each tar that could not be read to its end, and for each folder that could not be listed.
        beside: the JSON that a tar has beside an image, by the name of the image.
    """

    images: list[SourceImage] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    beside: dict[str, bytes] = field(default_factory=dict)


def find_images(
    inputs: list[str],
    *,
    stdin: BinaryIO | None = None,
    null_separated: bool = False,
    exclude: list[str] | None = None,
) -> Found:
    """All images of the inputs.

    A folder is searched recursively, into links too but each folder once, and its images are named relative to it; so
    are those of a tar, and of what is below an address. A file, a match of a glob and a path from stdin are named
    relative to the working directory (outside it: by their absolute path without the leading slash). What cannot be
    read, a missing file or a folder without permission, is kept so that the run reports it.

    Args:
        inputs: files, folders, globs, tars, addresses of any of these, or `-` for paths from `stdin`.
        null_separated: paths on `stdin` end in NUL rather than in a newline.
        exclude: folders below an input that are not entered, such as the output.

    Raises:
        UsageError: two different images would have the same name in the results, an input is empty, paths on
            stdin end in NUL though that was not said, or an address needs a package.
        HqsamError: what is below an address cannot be listed.
    """
    banned = {folder if is_address(folder) else os.path.realpath(folder) for folder in exclude or []}
    result = Found()
    found: dict[str, SourceImage] = {}
    seen: set[str] = set()
    for item in inputs:
        for image in _images_of(item, stdin, null_separated, banned, result):
            place = image.path if image.stored is not None else os.path.abspath(image.path)
            if place in seen:
                continue
            seen.add(place)
            known = found.setdefault(image.file_name, image)
            if known is not image and (
                image.stored is not None or os.path.realpath(known.path) != os.path.realpath(image.path)
            ):
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
    if not os.path.isdir(item):
        check_not_compressed(item)
    if item == STDIN:
        assert stdin is not None
        for path in _paths(stdin, null_separated):
            if is_address(path):
                yield SourceImage(path, named_by_address(path), Stored(path))
            else:  # a folder among the paths is an image that cannot be read, which the run says
                yield SourceImage(path, named_by_path(path))
    elif is_address(item):
        yield from _at_address(item, banned, result)
    elif is_tar(item) and os.path.isfile(item):
        yield from _in_tar(item, "", result)
    elif os.path.isdir(item):
        for path in _walk(item, banned, result):
            name = os.path.relpath(path, item).replace(os.sep, "/")
            yield SourceImage(path, named_by_path(item) if name == os.curdir else name)
    elif not os.path.lexists(item) and glob.has_magic(item):
        for path in _matches(item, banned, result):
            if is_tar(path):
                yield from _in_tar(path, named_by_path(path), result)
            else:
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
            if _is_image(name):
                if name.startswith("."):
                    result.passed.append(path)
                else:
                    yield path
            elif _is_unread(name) and not name.startswith("."):
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
        if _is_unread(path) and not _is_image(path):
            result.unread.append(path)
        junk = any(is_junk(part) for part in os.path.dirname(path).split(os.sep) if part.strip("."))
        if path.lower().endswith((*READ_SUFFIXES, SUFFIX)) and not junk and not os.path.isdir(path):
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


def _at_address(item: str, banned: set[str], result: Found) -> Iterator[SourceImage]:
    """Images at an address: one, those of a tar, those that a glob means, or all below it."""
    link = link_with_path(item)
    address = link.partition("?")[0] if link.startswith("http") else link
    if glob.has_magic(address):
        fixed = re.split(r"[*?[]", address, maxsplit=1)[0].rpartition("/")[0]
        pattern = address.removeprefix(f"{fixed}/")
        folder = item.replace(link, fixed if fixed.partition("://")[2] else f"{fixed}/", 1)
        if address.startswith("http"):
            pattern = unquote(pattern, errors="surrogateescape")
        files = files_below(folder, pattern, result.broken)
        if files:
            yield from _listed(folder, files, banned, result, is_glob=True)
        else:  # brackets may be of a name too
            yield from _listed(item, files_below(item, None, result.broken), banned, result)
    elif is_tar(address):
        yield from _in_tar(item, "", result)
    elif _is_image(address):
        yield SourceImage(item, named_by_address(item), Stored(item))
    else:
        yield from _listed(item, files_below(item, None, result.broken), banned, result)


def _listed(
    item: str, files: list[StoredFile], banned: set[str], result: Found, *, is_glob: bool = False
) -> Iterator[SourceImage]:
    """Images below an address, in the order in which a folder is searched."""
    outside = tuple(_names_below(item, banned))
    named = [file._replace(name=relative_name(file.name)) for file in files if file.name]
    if not named and files:  # an image whose name does not say so
        yield SourceImage(item, named_by_address(item), Stored(item, _stamp(files[0].info)))
    kept = [file for file in named if not file.name.startswith(outside)]
    runs = {parent for file in kept if (parent := _run_of(file.name)) is not None}
    for file in sorted(kept, key=lambda file: walk_order(file.name)):
        name, address, info = file
        if _is_hidden(name) or any(posixpath.dirname(output) in runs for output in _outputs_above(name)):
            result.passed.append(address)
        elif _is_image(name):
            if not stands_for_folder(file):
                yield SourceImage(address, name, Stored(address, _stamp(info)))
        elif is_glob and is_tar(name):
            yield from _in_tar(address, name, result)
        elif _is_unread(name):
            result.unread.append(address)


def _stamp(info: Mapping[str, Any]) -> str | None:
    """The stamp that a listing has; None where it says nothing of its files."""
    return stamp_of(info) if info.get("size") is not None else None


def _names_below(item: str, folders: set[str]) -> Iterator[str]:
    """The names, below an address, of those folders that are below it, each with a slash at its end."""
    protocol = item.partition("://")[0]
    for folder in folders:
        if folder.startswith(f"{protocol}://"):
            (system, root), (other, place) = file_system(item), file_system(folder)
            top = f"{root.rstrip('/')}/"
            if system == other and f"{place.rstrip('/')}/".startswith(top) and place.rstrip("/") != root.rstrip("/"):
                yield f"{place.rstrip('/').removeprefix(top)}/"


def _run_of(name: str) -> str | None:
    """The folder of the run whose journal, or part of it, a file is; None of any other file."""
    *folders, last = name.split("/")
    if last == JOURNAL:
        return "/".join(folders)
    is_part = folders[-1:] == [JOURNAL_FOLDER] and JOURNAL_OBJECT.fullmatch(last)
    return "/".join(folders[:-1]) if is_part else None


def _is_hidden(name: str) -> bool:
    *folders, last = name.split("/")
    return last.startswith(".") or any(map(is_junk, folders))


def _outputs_above(name: str) -> Iterator[str]:
    """The folders that a file is in and that are called as outputs of runs are."""
    return (str(folder) for folder in PurePosixPath(name).parents if folder.name in OUTPUTS)


def _in_tar(path: str, prefix: str, result: Found) -> Iterator[SourceImage]:
    """Images of a tar, whose names begin with the prefix, and the JSON beside them.

    Of WebDataset's samples, which are what a tar has of one name up to its first dot, `a.jpg` is the image, and
    `a.mask.png` is none.
    """
    tar = read_tar(path)
    result.broken.extend([tar.problem] if tar.problem else [])
    members = tar.members.values()
    sidecars = {os.path.splitext(m.name)[0]: m.content for m in members if m.content is not None}
    stems = {os.path.splitext(member.name)[0] for member in members if _is_image(member.name)}
    for member in members:
        stem, place = os.path.splitext(member.name)[0], f"{path}/{member.name}"
        folder, slash, last = stem.rpartition("/")
        sample = f"{folder}{slash}{last.partition('.')[0]}"
        if _is_hidden(member.name) or (_is_image(member.name) and sample != stem and sample in stems):
            result.passed.append(place)
        elif _is_image(member.name):
            name = relative_name(f"{prefix}/{member.name}")
            content = sidecars.get(stem)
            if content is not None:
                result.beside[name] = content
            yield SourceImage(place, name, _stored(path, tar.stamp, member))
        elif _is_unread(member.name):
            result.unread.append(place)


def _is_image(name: str) -> bool:
    return name.lower().endswith(READ_SUFFIXES)


def _is_unread(name: str) -> bool:
    """Whether a name is of a kind of image that is read with a further package, or not at all."""
    return name.lower().endswith((*HEIF_SUFFIXES, *OTHER_IMAGES))


def _stored(tar: str, stamp: str, member: Member) -> Stored:
    own = stamp if stamp == UNKNOWN else f"{stamp}@{member.start}+{member.size}"
    return Stored(tar, own, member.start, member.size)


def walk_order(file_name: str) -> list[tuple[bool, str]]:
    """Sorts names as a folder is searched: the files of a folder, then its folders."""
    *folders, name = file_name.split("/")
    return [*((True, folder) for folder in folders), (False, name)]


def relative_name(name: str) -> str:
    """A name that leads to no folder above what it is joined to."""
    return posixpath.normpath(f"/{name}").lstrip("/")


def named_by_address(address: str) -> str:
    """The name of an image that was given by its address: its path without the host or the bucket."""
    link = link_with_path(address)
    rest = link.partition("://")[2]
    if link.startswith("http"):
        rest = unquote(re.split("[?#]", rest, maxsplit=1)[0], errors="surrogateescape")
    return relative_name(rest.partition("/")[2] or rest) or "root"


def named_by_path(path: str) -> str:
    """The name of an image that was given by its path; never one that means a folder above what it is joined to."""
    absolute = os.path.normpath(os.path.join(os.getcwd(), path))
    relative = os.path.relpath(absolute, os.getcwd())
    if relative in (os.curdir, os.pardir) or relative.startswith(os.pardir + os.sep):
        relative = absolute.lstrip(os.sep) or "root"
    return relative.replace(os.sep, "/")
