"""Find the images of the inputs of a command, and their names in the results."""

from __future__ import annotations

import glob
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote

from ..configs import STDIN
from ..errors import UsageError
from .addresses import UNKNOWN, absolute_path, file_system, is_address, stamp_of
from .file_types import HEIF_SUFFIXES, OTHER_IMAGES
from .files import InputFile, Location, RemoteFile
from .images import READ_SUFFIXES
from .listing import StoredFile, files_below, is_folder_marker
from .names import link_with_path, relative_name
from .run_folder import JOURNAL, JOURNAL_FOLDER, OUTPUTS, is_run_folder, run_of_journal
from .tars import SUFFIX, check_not_compressed, is_tar, read_tar

# Folders of thumbnails, deleted files and snapshots on servers and desktops, in lower case, besides hidden ones.
JUNK = (
    *("@eadir", "@recycle", "@tmp", "#recycle", "#snapshot", "__macosx", "$recycle.bin"),
    *("system volume information", "lost+found"),
)


@dataclass(frozen=True, slots=True)
class SourceImage:
    """An image to process.

    Attributes:
        path: its path or URL; undecodable bytes are surrogate escapes.
        file_name: its name in the results: relative, with `/`, without `..`.
        location: where its bytes are; None for a local file.
        listed: its name by the inputs, if it has another one in earlier results.
    """

    path: str
    file_name: str
    location: Location | None = None
    listed: str | None = None

    @property
    def absolute(self) -> str:
        """Its absolute path or URL."""
        return os.path.abspath(self.path) if self.location is None else absolute_path(self.path)

    def file(self) -> InputFile:
        """Its file, read lazily."""
        return InputFile(self.path) if self.location is None else RemoteFile(self.path, self.location)


@dataclass(frozen=True, slots=True)
class Found:
    """Images and other files of the inputs.

    Attributes:
        images: unique images in a stable order.
        unread: paths of images in unsupported formats.
        passed: paths of skipped folders and files: thumbnails, hidden files, outputs of runs.
        broken: error messages of tars that could not be read to the end, and of folders that could not be listed.
        beside: JSON sidecars of images in tars, by the name of the image.
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
    """Find all images of the inputs.

    Folders are searched recursively, following links but entering each folder once. Images of a folder, a tar or a URL
    are named relative to it; files, glob matches and paths from stdin relative to the working directory (outside it: by
    their absolute path without the leading slash). Missing files and folders without permission are kept as images, so
    that the run reports them.

    Args:
        inputs: files, folders, globs, tars, URLs of any of these, or `-` for paths from `stdin`.
        null_separated: paths on `stdin` are separated by NUL instead of newlines.
        exclude: folders to skip below an input, such as the output.

    Raises:
        UsageError: two images would have the same name in the results, or an input is invalid.
        HqsamError: a URL cannot be listed.
    """
    excluded = {folder if is_address(folder) else os.path.realpath(folder) for folder in exclude or []}
    result = Found()
    found: dict[str, SourceImage] = {}
    seen: set[str] = set()
    for item in inputs:
        for image in _images_of(item, stdin, null_separated, excluded, result):
            is_remote = image.location is not None
            path = image.path if is_remote else os.path.abspath(image.path)
            if path in seen:
                continue
            seen.add(path)
            known = found.setdefault(image.file_name, image)
            if known is not image and (is_remote or os.path.realpath(known.path) != os.path.realpath(image.path)):
                reason = f"{known.path} and {image.path} would both have the name {image.file_name} in the results"
                raise UsageError(reason, remedy="pass the folder that contains both")
    result.images.extend(found.values())
    return result


def _images_of(
    item: str, stdin: BinaryIO | None, null_separated: bool, excluded: set[str], result: Found
) -> Iterator[SourceImage]:
    if not item:
        raise UsageError("an input is an empty name", remedy="pass images, folders of images, globs, or -")
    if not os.path.isdir(item):
        check_not_compressed(item)
    if item == STDIN:
        assert stdin is not None
        for path in _paths(stdin, null_separated):
            if is_address(path):
                yield SourceImage(path, named_by_address(path), Location(path))
            else:  # a folder is kept as an unreadable image, which the run reports
                yield SourceImage(path, named_by_path(path))
    elif is_address(item):
        yield from _at_address(item, excluded, result)
    elif is_tar(item) and os.path.isfile(item):
        yield from _in_tar(item, "", result)
    elif os.path.isdir(item):
        for path in _walk(item, excluded, result):
            name = os.path.relpath(path, item).replace(os.sep, "/")
            yield SourceImage(path, named_by_path(item) if name == os.curdir else name)
    elif not os.path.lexists(item) and glob.has_magic(item):
        for path in _matches(item, excluded, result):
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


def _walk(folder: str, excluded: set[str], result: Found) -> Iterator[str]:
    """Yield image files below a folder, sorted, then unreadable folders."""
    unreadable: list[str] = []
    entered = {os.path.realpath(folder)}
    walk = os.walk(folder, followlinks=True, onerror=lambda error: unreadable.append(error.filename))
    for root, folders, files in walk:
        is_run = JOURNAL in files or (JOURNAL_FOLDER in folders and is_run_folder(root))
        kept = []
        for name in sorted(folders):
            path = os.path.join(root, name)
            real = os.path.realpath(path)
            if real in excluded or real in entered:
                continue
            if is_junk(name) or (is_run and name in OUTPUTS):
                result.passed.append(path)
            else:
                entered.add(real)
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
    """Whether a folder name is hidden, or that of thumbnails or deleted files."""
    return name.startswith(".") or name.lower() in JUNK


def _matches(pattern: str, excluded: set[str], result: Found) -> Iterator[str]:
    """Yield image files and tars matching a glob, sorted, except in excluded folders below its fixed part."""
    fixed = os.path.dirname(re.split(r"[*?[]", pattern, maxsplit=1)[0])
    below = os.path.join(os.path.realpath(fixed), "")
    inner = tuple(os.path.join(folder, "") for folder in excluded if folder.startswith(below))
    for path in sorted(glob.glob(pattern, recursive=True)):
        if _is_unread(path) and not _is_image(path):
            result.unread.append(path)
        junk = any(is_junk(part) for part in os.path.dirname(path).split(os.sep) if part.strip("."))
        if path.lower().endswith((*READ_SUFFIXES, SUFFIX)) and not junk and not os.path.isdir(path):
            folder = os.path.join(os.path.realpath(os.path.dirname(path)), "")
            if not folder.startswith(inner) and not _is_output(os.path.dirname(path), fixed):
                yield path


def _is_output(folder: str, fixed: str) -> bool:
    """Whether a folder is in an image folder of a run, or one itself, below `fixed`."""
    outputs = (own for own in (PurePath(folder), *PurePath(folder).parents) if own.name in OUTPUTS)
    return any(len(str(own)) > len(fixed) and is_run_folder(str(own.parent)) for own in outputs)


def _at_address(item: str, excluded: set[str], result: Found) -> Iterator[SourceImage]:
    """Yield images at a URL: a single one, those of a tar, those matching a glob, or all below it."""
    link = link_with_path(item)
    address = link.partition("?")[0] if link.startswith("http") else link
    if glob.has_magic(address):
        fixed = re.split(r"[*?[]", address, maxsplit=1)[0].rpartition("/")[0]
        pattern = address.removeprefix(f"{fixed}/")
        folder = item.replace(link, fixed if fixed.partition("://")[2] else f"{fixed}/", 1)
        if address.startswith("http"):
            pattern = unquote(pattern, errors="surrogateescape")
        files = files_below(folder, pattern, result.broken)
        if files:  # otherwise the brackets are part of a name
            yield from _listed(folder, files, excluded, result, is_glob=True)
            return
    elif is_tar(address):
        yield from _in_tar(item, "", result)
        return
    elif _is_image(address):
        yield SourceImage(item, named_by_address(item), Location(item))
        return
    yield from _listed(item, files_below(item, None, result.broken), excluded, result)


def _listed(
    item: str, files: list[StoredFile], excluded: set[str], result: Found, *, is_glob: bool = False
) -> Iterator[SourceImage]:
    """Yield images below a URL, in the order of a folder search."""
    outside = tuple(_names_below(item, excluded))
    named = [file._replace(name=relative_name(file.name)) for file in files if file.name]
    if not named and files:  # an image without a suffix
        yield SourceImage(item, named_by_address(item), Location(item, _stamp(files[0].info)))
    kept = [file for file in named if not file.name.startswith(outside)]
    runs = {parent for file in kept if (parent := run_of_journal(file.name)) is not None}
    for file in sorted(kept, key=lambda file: walk_order(file.name)):
        name, address, info = file
        outputs = (str(folder) for folder in PurePosixPath(name).parents if folder.name in OUTPUTS)
        if _is_hidden(name) or any(posixpath.dirname(output) in runs for output in outputs):
            result.passed.append(address)
        elif _is_image(name):
            if not is_folder_marker(file):
                yield SourceImage(address, name, Location(address, _stamp(info)))
        elif is_glob and is_tar(name):
            yield from _in_tar(address, name, result)
        elif _is_unread(name):
            result.unread.append(address)


def _stamp(info: Mapping[str, Any]) -> str | None:
    """The stamp of a listed file; None if the listing has only names."""
    return stamp_of(info) if info.get("size") is not None else None


def _names_below(item: str, folders: set[str]) -> Iterator[str]:
    """Names of folders relative to a URL, with a trailing slash; those outside it are skipped."""
    protocol = item.partition("://")[0]
    for folder in folders:
        if folder.startswith(f"{protocol}://"):
            (system, root), (other, path) = file_system(item), file_system(folder)
            above, path = f"{root.rstrip('/')}/", f"{path.rstrip('/')}/"
            if system == other and path.startswith(above) and path != above:
                yield path.removeprefix(above)


def _is_hidden(name: str) -> bool:
    *folders, last = name.split("/")
    return last.startswith(".") or any(map(is_junk, folders))


def _in_tar(path: str, prefix: str, result: Found) -> Iterator[SourceImage]:
    """Yield images of a tar, named with a prefix, and record their JSON sidecars.

    Files with the same name up to the first dot are a WebDataset sample: `a.jpg` is its image, `a.mask.png` is not.
    """
    tar = read_tar(path)
    result.broken.extend([tar.problem] if tar.problem else [])
    members = tar.members.values()
    sidecars = {os.path.splitext(m.name)[0]: m.content for m in members if m.content is not None}
    stems = {os.path.splitext(member.name)[0] for member in members if _is_image(member.name)}
    for member in members:
        stem, member_path = os.path.splitext(member.name)[0], f"{path}/{member.name}"
        folder, slash, last = stem.rpartition("/")
        sample = f"{folder}{slash}{last.partition('.')[0]}"
        if _is_hidden(member.name) or (_is_image(member.name) and sample != stem and sample in stems):
            result.passed.append(member_path)
        elif _is_image(member.name):
            name = relative_name(f"{prefix}/{member.name}")
            if stem in sidecars:
                result.beside[name] = sidecars[stem]
            stamp = tar.stamp if tar.stamp == UNKNOWN else f"{tar.stamp}@{member.start}+{member.size}"
            yield SourceImage(member_path, name, Location(path, stamp, member.start, member.size))
        elif _is_unread(member.name):
            result.unread.append(member_path)


def _is_image(name: str) -> bool:
    return name.lower().endswith(READ_SUFFIXES)


def _is_unread(name: str) -> bool:
    """Whether a name is that of an image whose format needs a package or is unsupported."""
    return name.lower().endswith((*HEIF_SUFFIXES, *OTHER_IMAGES))


def walk_order(file_name: str) -> list[tuple[bool, str]]:
    """Sort key for the order of a folder search: files, then subfolders."""
    *folders, name = file_name.split("/")
    return [*((True, folder) for folder in folders), (False, name)]


def named_by_address(address: str) -> str:
    """The name of an image given by its URL: the path without host or bucket."""
    link = link_with_path(address)
    rest = link.partition("://")[2]
    if link.startswith("http"):
        rest = unquote(re.split("[?#]", rest, maxsplit=1)[0], errors="surrogateescape")
    return relative_name(rest.partition("/")[2] or rest) or "root"


def named_by_path(path: str) -> str:
    """The name of an image given by its path; it does not lead above the folder it is joined to."""
    absolute = os.path.normpath(os.path.join(os.getcwd(), path))
    relative = os.path.relpath(absolute, os.getcwd())
    if relative in (os.curdir, os.pardir) or relative.startswith(os.pardir + os.sep):
        relative = absolute.lstrip(os.sep) or "root"
    return relative.replace(os.sep, "/")
