"""Which images a command line means, and what each is called in the results."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ..errors import UsageError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")
STDIN = "-"


@dataclass(frozen=True, slots=True)
class SourceImage:
    """One image to process.

    Attributes:
        path: as it is opened; bytes that are not UTF-8 are held as surrogate escapes.
        file_name: its name in the results: relative, with `/`, without `..`.
    """

    path: str
    file_name: str


def find_images(
    inputs: list[str],
    *,
    stdin: BinaryIO | None = None,
    null_separated: bool = False,
    exclude: list[str] | None = None,
) -> list[SourceImage]:
    """All images of the inputs, in a stable order, each once.

    A folder is searched recursively and its images are named relative to it. A file, a match of a glob and
    a path from stdin are named relative to the working directory (outside it: by their absolute path
    without the leading slash); they are kept even where they do not exist, so that the run reports them.

    Args:
        inputs: files, folders, globs, or `-` for paths from `stdin`.
        null_separated: paths on `stdin` end in NUL rather than in a newline.
        exclude: folders that are never entered, such as the output.

    Raises:
        UsageError: two different images would have the same name in the results.
    """
    banned = {os.path.realpath(folder) for folder in exclude or []}
    found: dict[str, SourceImage] = {}
    for item in inputs:
        for image in _images_of(item, stdin, null_separated, banned):
            known = found.setdefault(image.file_name, image)
            if known.path != image.path and os.path.realpath(known.path) != os.path.realpath(image.path):
                raise UsageError(
                    f"{known.path} and {image.path} would both be called {image.file_name} in the results: "
                    "give the folder that holds both"
                )
    return list(found.values())


def _images_of(item: str, stdin: BinaryIO | None, null_separated: bool, banned: set[str]) -> Iterator[SourceImage]:
    if item == STDIN:
        assert stdin is not None
        for path in _paths(stdin, null_separated):
            # A folder among the paths is an image that cannot be read, which the run says.
            yield SourceImage(path, named_by_path(path))
    elif os.path.isdir(item):
        for path in _walk(item, banned):
            yield SourceImage(path, os.path.relpath(path, item).replace(os.sep, "/"))
    elif not os.path.lexists(item) and glob.has_magic(item):
        for path in sorted(glob.glob(item, recursive=True)):
            if path.lower().endswith(IMAGE_SUFFIXES) and not os.path.isdir(path):
                yield SourceImage(path, named_by_path(path))
    else:
        yield SourceImage(item, named_by_path(item))


def _paths(stdin: BinaryIO, null_separated: bool) -> Iterator[str]:
    separator = b"\0" if null_separated else b"\n"
    for line in stdin.read().split(separator):
        line = line if null_separated else line.rstrip(b"\r")
        if line:
            yield os.fsdecode(line)


def _walk(folder: str, banned: set[str]) -> Iterator[str]:
    """Image files below a folder, sorted by path; hidden and banned folders are not entered."""
    for root, folders, files in os.walk(folder, followlinks=False):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and os.path.realpath(os.path.join(root, name)) not in banned
        )
        for name in sorted(files):
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield os.path.join(root, name)


def named_by_path(path: str) -> str:
    """The name of an image that was given by its path."""
    absolute = os.path.normpath(os.path.join(os.getcwd(), path))
    relative = os.path.relpath(absolute, os.getcwd())
    if relative.startswith(os.pardir + os.sep):
        relative = absolute.lstrip(os.sep)
    return relative.replace(os.sep, "/")
