"""Discovery of the input images of a run, its shards, and the prompts of its images."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from typing import BinaryIO, TypeAlias

from ..configs import STDIN, Exif
from ..errors import NoInputError, UsageError
from ..formats.values import some_of
from ..io.digest import hash_number
from ..io.file_types import HEIF_SUFFIXES, VIDEO_SUFFIXES
from ..io.find import Found, SourceImage, find_images
from ..io.run_folder import OUTPUTS
from ..progress import Progress
from ..prompts.fit import check_fits, check_used
from ..prompts.read import PromptSources
from ..prompts.table import PromptTable, Selection, bind_prompts
from ..records import Category
from .journal import Contents

Inputs: TypeAlias = str | PathLike[str] | Sequence[str | PathLike[str]]


def input_paths(inputs: Inputs) -> list[str]:
    """The inputs of the Python API, one or several, as strings."""
    return [fspath(path) for path in ([inputs] if isinstance(inputs, str | PathLike) else inputs)]


def input_images(
    inputs: Sequence[str], output: str, progress: Progress, *, stdin: BinaryIO | None, null_separated: bool
) -> Found:
    """Find all images of the inputs, except those in the output folder.

    Raises:
        NoInputError: no image is found or exists; images at URLs are checked later.
    """
    if not output:
        raise UsageError("is empty", option="output", remedy="pass a folder, or -")
    # If the output folder is also an input, its masks are not inputs.
    exclude = [] if output == STDIN else [output, *(f"{output.rstrip('/')}/{name}" for name in OUTPUTS)]
    found = find_images(list(inputs), stdin=stdin, null_separated=null_separated, exclude=exclude)
    for text in found.broken:
        progress.on_failure(text)
    if not any(image.location is not None or os.path.lexists(image.path) for image in found.images):
        raise NoInputError(_nothing(inputs, found))
    if found.unread:
        progress.on_problem(f"images in unsupported formats, skipped: {len(found.unread)} ({_kinds(found.unread)}")
    if found.passed:
        text = f"thumbnails, trash, hidden files and outputs of runs, skipped: {some_of(found.passed)}"
        progress.say(text, verbose=True)
    return found


def named_as_before(found: Found, before: Contents) -> Found:
    """Give images the names that they have in the journal of earlier commands, which may have listed other folders.

    Also those that failed, so that they count as failed and are not tried again under another name.
    """
    known = {entry.path: name for name, entry in before.entries.items()}
    names = {image.file_name: known.get(image.absolute, image.file_name) for image in found.images}
    changed = {name: own for name, own in names.items() if own not in names}
    return replace(
        found,
        images=[
            replace(image, file_name=changed[image.file_name], listed=image.file_name)
            if image.file_name in changed
            else image
            for image in found.images
        ],
        beside={changed.get(name, name): content for name, content in found.beside.items()},
    )


def _kinds(paths: Sequence[str]) -> str:
    """List an example of each unsupported format, and what to do."""
    first = {os.path.splitext(path)[1].lower(): path for path in reversed(paths)}
    heif = any(suffix in HEIF_SUFFIXES for suffix in first)
    remedy = "pip install 'hqsam-cli[heif]' reads HEIC" if heif else "convert them to JPEG, PNG or TIFF"
    return f"{some_of(sorted(first.values()))}); {remedy}"


def _nothing(inputs: Sequence[str], found: Found) -> str:
    """Explain why the inputs contain no existing image."""
    for item in inputs:
        suffix = os.path.splitext(item)[1].lower()
        if suffix in VIDEO_SUFFIXES:
            return f"{item}: a video; extract its frames (ffmpeg -i {item} frames/%06d.png), and pass their folder"
        if suffix == ".pdf":
            return f"{item}: a PDF; extract its images (pdfimages -png {item} pages), and pass their folder"
    if found.unread:
        return f"no readable image in {', '.join(inputs)}: {len(found.unread)} unsupported ({_kinds(found.unread)}"
    if found.images:
        names = some_of(image.path for image in found.images)
        return f"no input exists ({names}): check the paths, or pass folders of images, or globs"
    return f"no image in {', '.join(inputs)}: pass images, folders of images, or globs"


def bind(
    given: PromptSources,
    images: list[SourceImage],
    selection: Selection,
    exif: Exif,
    progress: Progress,
    known: Sequence[Category] = (),
) -> PromptTable:
    """Match prompts to images; reports detected formats and skipped prompts.

    Args:
        known: as in `Categories`.

    Raises:
        HqsamError: no prompt is usable, or the box format is implausible.
    """
    table = bind_prompts(given, images, selection, known)
    for text in given.recognized:
        progress.say(text)
    for text in table.outside:
        progress.on_failure(text)
    for text in table.notes.lost:
        progress.on_problem(text)
    for text in table.notes.remarks:
        progress.say(text)
    check_used(given, table, images)
    check_fits(table, images, exif, given.assumed_pixels)
    return table


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard `index` of `count`, starting at 1.

    The shard of an image depends only on its name and the count, so adding images does not move others.
    """

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse `2/8`. Raises a UsageError."""
        match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if match is None or not 1 <= int(match[1]) <= int(match[2]):
            raise UsageError("not a shard", option="shard", value=text, remedy="pass I/N, such as 1/8 to 8/8")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def has(self, file_name: str) -> bool:
        """Whether an image belongs to this shard."""
        return hash_number(file_name.encode("utf-8", "surrogateescape")) % self.count == self.index - 1

    def images(self, images: Iterable[SourceImage]) -> list[SourceImage]:
        """The images of this shard."""
        return [image for image in images if self.has(image.file_name)]


def inputs_digest(images: Iterable[SourceImage]) -> str:
    """Digest of the ordered names of all images of a run: equal for shards with the same inputs."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(image.file_name.encode("utf-8", "surrogateescape") + b"\0")
    return digest.hexdigest()[:16]
