"""Read prompt files and folders of any format, local or at URLs, as `PromptFile`s."""

from __future__ import annotations

import json
import os
import posixpath
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from ..configs import STDIN, BoxFormat, PromptConfig
from ..errors import HqsamError
from ..formats.yolo import LABELS
from ..io.address_folder import AddressFolder
from ..io.addresses import is_address
from ..io.file_types import HEAD, describe_placeholder
from ..io.files import read_bytes
from ..io.gzipped import unzipped
from ..io.names import relative_name
from .boxes import check_box_format
from .label_folder import files_below, is_root
from .mask_folder import MaskFolder
from .prompt_file import PromptFile, Use
from .readers import FILE_READERS, FOLDER_READERS, READERS
from .readers.ndjson import Lines, read_lines

ZIP = b"PK\x03\x04"
LABEL_FILES = (*FOLDER_READERS, ".yaml", ".yml", ".names")
# NaN and infinities, which Python writes although JSON lacks them, become null.
_parse = partial(json.loads, parse_constant=lambda _name: None)
KINDS_OF_FILES = f"pass one of these: {', '.join((*READERS, *FILE_READERS))}"


@dataclass(frozen=True, slots=True)
class PromptSources:
    """All prompt sources of a command; with `frame`, the image frame is the prompt."""

    files: tuple[PromptFile, ...] = ()
    listed: PromptFile | None = None
    masks: MaskFolder | None = None
    frame: bool = False

    @property
    def recognized(self) -> list[str]:
        """The recognized format of each file."""
        things: dict[Use, str] = {"box": "boxes", "points": "points", "mask": "masks"}
        return [
            f"{file.path}: {file.kind}; images: {len(file.images)}, {things[file.use]}: {len(file.annotations)}"
            for file in self.files
            if file.use is not None
        ]

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
        if use == "mask" and not is_root(Path(path)) and (folder := MaskFolder.of(Path(path))).paths:
            masks = folder
        else:
            box_format = config.box_format if use == "box" else None
            files.append(read_prompt_file(path, use, stdin=stdin, listed=listed, box_format=box_format))
    if beside and not files and masks is None and not config.frame:
        found = _read_beside(beside, config.box_format)
        files += [found] if found.entries or found.lost else []
    return PromptSources(tuple(files), listed, masks, config.frame)


def read_prompt_file(
    path: str,
    use: Use | None,
    *,
    stdin: BinaryIO | None = None,
    listed: PromptFile | None = None,
    box_format: BoxFormat | None = None,
) -> PromptFile:
    """Read a prompt file, a folder with one label file per image, or the root of a dataset.

    Args:
        use: purpose of the annotations; None reads only images and categories.
        listed: the file that lists the images of a results list.
        box_format: box format; None uses the default of the file format, and rejects boxes that contradict it.

    Raises:
        HqsamError: the file is unreadable, has an unknown format, or has no prompts.
    """
    file = PromptFile("stdin" if path == STDIN else path, use, given_format=box_format, listed=listed)
    if is_address(path) and not PurePosixPath(path).suffix:
        _read_address(path, file)
    elif os.path.isdir(path):
        _read_folder(Path(path), file)
    else:
        try:
            file.kind = _read_content(_content(path, stdin), file)
        except ValueError as error:
            raise HqsamError(str(error), file=file.path) from None
        if box_format is None:
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


def _read_content(content: bytes, file: PromptFile) -> str:
    """Read a file with the first reader that accepts it; return the format name.

    Raises:
        ValueError: the format is unknown; the message says what it is and what to pass.
    """
    if placeholder := describe_placeholder(content[:HEAD]):
        raise ValueError(placeholder)
    if content.startswith(ZIP):
        raise ValueError("a zip archive; extract it, and pass the file or the folder in it")
    if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
        for kind, read_content in FILE_READERS.items():
            if read_content(content, file):
                return kind
    document = _document(content)
    for kind, read in READERS.items():
        if read(document, file):
            return kind
    raise ValueError(
        f"JSON, but none of {', '.join(READERS)}; pass an object with images and annotations, a list of results with "
        "image_id, a list of tasks with data, or a line per image with file_name and annotations"
    )


def _read_beside(beside: Mapping[str, bytes], box_format: BoxFormat | None) -> PromptFile:
    """Read JSON sidecars by image name: an NDJSON line, or only its list of annotations."""
    file = PromptFile("tars", "box", given_format=box_format, kind="JSON beside images")
    lines = Lines()
    for name, content in beside.items():
        try:
            document = _parse(content.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            file.lose("invalid JSON beside images, skipped", name)
            continue
        if isinstance(document, list):
            document = {"annotations": document}
        if isinstance(document, dict) and "annotations" in document:
            lines.append({**document, "file_name": name})
    read_lines(lines, file)
    return file


def _read_folder(folder: Path, file: PromptFile) -> None:
    """Read labels in the format of most files of a folder."""
    place = folder / LABELS if is_root(folder) else folder
    paths = files_below(place, FOLDER_READERS)
    if not paths:
        remedy = "pass a folder of YOLO .txt, VOC .xml or labelme .json"
        raise HqsamError("contains no labels", file=file.path, remedy=remedy)
    counts = Counter(path.suffix.lower() for path in paths)
    suffix = max(FOLDER_READERS, key=lambda suffix: counts[suffix])
    file.kind, read = FOLDER_READERS[suffix]
    read(place, [path for path in paths if path.suffix.lower() == suffix], file)
    for path in (path for path in paths if path.suffix.lower() != suffix):
        file.lose(f"labels in another format than {suffix}, skipped", path.name)


def _read_address(address: str, file: PromptFile) -> None:
    """Read a folder of labels at a URL; labels and class name files are downloaded."""
    there = AddressFolder(address)
    names = [name for name in there.names() if PurePosixPath(name).suffix.lower() in LABEL_FILES]
    with TemporaryDirectory(prefix="hqsam-") as here:
        folder = Path(here, posixpath.basename(there.address))
        folder.mkdir()
        for name, content in zip(names, there.read(names), strict=True):
            path = folder / relative_name(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        _read_folder(folder, file)


def _content(path: str, stdin: BinaryIO | None) -> bytes:
    if path == STDIN:
        assert stdin is not None
        return unzipped(stdin.read(), path)
    try:
        return unzipped(read_bytes(path) if is_address(path) else Path(path).read_bytes(), path)
    except OSError as error:
        raise HqsamError(f"cannot be read ({error.strerror})", file=path, remedy=KINDS_OF_FILES) from None


def _document(content: bytes) -> Any:
    """Parse a JSON document, or `Lines` of several.

    Raises:
        ValueError: it is neither; the message says what to pass.
    """
    try:
        text = content.decode(json.detect_encoding(content), "surrogatepass")
        return _parse(text)
    except RecursionError:
        raise ValueError(f"JSON nested too deeply to be COCO; {KINDS_OF_FILES}") from None
    except UnicodeDecodeError as error:  # before ValueError, its base class
        raise ValueError(f"not JSON ({error}); {KINDS_OF_FILES}") from None
    except ValueError as whole:
        lines = Lines()
        # Not str.splitlines, which also splits at characters that names may contain.
        for number, line in enumerate(text.split("\n"), 1):
            try:
                lines += [_parse(line)] if line.strip() else []
            except (ValueError, RecursionError):
                reason = f"line {number} is not JSON" if lines else f"not JSON ({whole})"
                raise ValueError(f"{reason}; {KINDS_OF_FILES}") from None
        if not lines:
            raise ValueError(f"empty; {KINDS_OF_FILES}") from None
        return lines
