"""Read prompt files and folders of any format, local or at URLs, as `PromptFile`s."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..configs import STDIN, BoxFormat, Crowds, PromptConfig
from ..errors import HqsamError
from ..io.addresses import is_address
from ..io.files import read_bytes
from ..io.gzipped import unzipped
from ..records import RawPrompt
from .boxes import NORMALIZED, check_box_format
from .class_names import ClassNames
from .content import KINDS_OF_FILES, parse_json, read_content
from .crowds import settle_crowds
from .label_folder import is_labeled, is_root, read_address, read_folder
from .mask_folder import MaskFolder
from .prompt_file import PromptFile, Use
from .readers.ndjson import Lines, read_lines
from .typed import read_typed


@dataclass(frozen=True, slots=True)
class PromptSources:
    """All prompt sources of a command; `typed` are for each image."""

    files: tuple[PromptFile, ...] = ()
    listed: PromptFile | None = None
    masks: MaskFolder | None = None
    typed: tuple[RawPrompt, ...] = ()

    @property
    def recognized(self) -> list[str]:
        """The recognized format of each file."""
        things: dict[Use, str] = {"box": "boxes", "points": "points", "mask": "masks"}
        return [
            f"{file.path}: {file.kind}; images: {len(file.images)}, {things[file.use]}: {len(file.annotations)}"
            + (f" ({file.given_format or file.box_format})" if file.ambiguous else "")
            for file in self.files
            if file.use is not None
        ]

    @property
    def assumed_pixels(self) -> BoxFormat | None:
        """The box format in pixels that was assumed, if one was."""
        open_files = (file for file in self.files if file.ambiguous and file.given_format is None)
        return next((file.box_format for file in open_files if file.box_format not in NORMALIZED), None)

    @property
    def entries(self) -> list[tuple[str, int, list[str]]]:
        """Path, number of prompts, and names of their images, for each source."""
        given = [(file.path, file.entries, [image.label for image in file.images.values()]) for file in self.files]
        if self.masks is not None:
            given.append((str(self.masks.folder), len(self.masks.paths), sorted(self.masks.paths.values())))
        return [(path, count, names) for path, count, names in given if count]


def read_prompts(
    config: PromptConfig, *, beside: Mapping[str, bytes] | None = None, stdin: BinaryIO | None = None
) -> PromptSources:
    """Read all prompt sources of a config; `-` is `stdin`, and a URL without a suffix is a folder.

    Args:
        beside: JSON sidecars of images in tars, whose boxes are used if no other prompts are given.

    Raises:
        HqsamError: a file cannot be read, or has another format.
    """
    listed = None if config.images_json is None else read_prompt_file(config.images_json, None, stdin=stdin)
    masks = None
    files: list[PromptFile] = []
    given: dict[Use, str | None] = {"box": config.boxes, "points": config.points, "mask": config.coarse_masks}
    for use, path in given.items():
        if path is None:
            continue
        folder = MaskFolder.of(Path(path)) if use == "mask" and not is_root(Path(path)) else None
        if folder is not None and folder.paths and not is_labeled(folder.folder, folder.paths):
            masks = folder
        else:
            box_format = config.box_format if use == "box" else None
            own = read_prompt_file(path, use, stdin=stdin, listed=listed, box_format=box_format, crowds=config.crowds)
            files.append(own)
    typed = read_typed(config)
    if beside and not files and masks is None and not config.salient and not typed:
        found = _read_beside(beside, config.box_format)
        settle_crowds(found, config.crowds)
        files += [found] if found.entries or found.lost else []
    return PromptSources(tuple(files), listed, masks, typed)


def read_prompt_file(
    path: str,
    use: Use | None,
    *,
    stdin: BinaryIO | None = None,
    listed: PromptFile | None = None,
    box_format: BoxFormat | None = None,
    crowds: Crowds | None = None,
) -> PromptFile:
    """Read a prompt file, a folder with one label file per image, or the root of a dataset.

    Args:
        use: purpose of the annotations; None reads only images and categories.
        listed: the file that lists the images of a results list.
        box_format: box format; None uses the default of the file format, and rejects boxes that contradict it.
        crowds: what to do with crowd annotations; see `settle_crowds`.

    Raises:
        HqsamError: the file is unreadable, has an unknown format, or has no prompts.
    """
    file = PromptFile("stdin" if path == STDIN else path, use, given_format=box_format, listed=listed)
    if is_address(path) and not PurePosixPath(path).suffix:
        read_address(path, file)
    elif os.path.isdir(path):
        read_folder(Path(path), file)
    else:
        if path != STDIN:
            file.label = os.path.basename(path)
            file.classes = ClassNames(None if is_address(path) else Path(path).parent)
        try:
            file.kind = read_content(_content(path, stdin), file)
        except ValueError as error:
            raise HqsamError(str(error), file=file.path) from None
    settle_crowds(file, crowds)
    if box_format is None and file.box_format not in NORMALIZED:
        check_box_format(file.ambiguous, file.box_format, file.path)
    # An empty file may be intended.
    if file.says_nothing and file.kind != "COCO results" and (file.images or file.lost):
        lost = [text.removeprefix(f"{file.path}: ") for text in file.notes.lost]
        raise HqsamError(
            ": ".join([f"{file.kind} without annotations", *lost[:1]]),
            file=file.path,
            remedy="pass a file with annotations; an empty list of annotations states that an image has none",
        )
    return file


def _read_beside(beside: Mapping[str, bytes], box_format: BoxFormat | None) -> PromptFile:
    """Read JSON sidecars by image name: an NDJSON line, or only its list of annotations."""
    file = PromptFile("tars", "box", given_format=box_format, kind="JSON beside images")
    lines = Lines()
    for name, content in beside.items():
        try:
            document = parse_json(content.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            file.lose("invalid JSON beside images, skipped", name)
            continue
        if isinstance(document, list):
            document = {"annotations": document}
        if isinstance(document, dict) and "annotations" in document:
            lines.append({**document, "file_name": name})
    read_lines(lines, file)
    return file


def _content(path: str, stdin: BinaryIO | None) -> bytes:
    if path == STDIN:
        assert stdin is not None
        return unzipped(stdin.read(), path)
    try:
        return unzipped(read_bytes(path) if is_address(path) else Path(path).read_bytes(), path)
    except OSError as error:
        raise HqsamError(f"cannot be read ({error.strerror})", file=path, remedy=KINDS_OF_FILES) from None
