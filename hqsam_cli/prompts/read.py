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

from ..configs import STDIN, BoxFormat, Crowds, PromptConfig
from ..configs.formats import COMMON_PROMPTS, LABEL_SUFFIXES
from ..errors import HqsamError
from ..formats.values import text_of
from ..formats.xml_text import read_xml
from ..formats.yolo import CLASSES, LABELS
from ..io.address_folder import AddressFolder
from ..io.addresses import is_address
from ..io.file_types import HEAD, describe_placeholder, unzipped
from ..io.files import read_bytes
from ..io.names import relative_name
from ..records import RawPrompt
from .boxes import MOST, NORMALIZED, check_box_format, check_stated_format
from .class_names import ClassNames
from .describe import describe_content, describe_document
from .mask_folder import MaskFolder, files_below
from .prompt_file import FileAnnotation, PromptFile, Use
from .readers import FILE_READERS, JSON_READERS, XML_READERS
from .readers.coco import Lines, read_lines
from .typed import read_typed

ZIP = b"PK\x03\x04"
# NaN and infinities, which Python writes although JSON lacks them, become null.
parse_json = partial(json.loads, parse_constant=lambda _name: None)
KINDS_OF_FILES = f"pass {', '.join(COMMON_PROMPTS)} or another format that docs/formats lists"
NAME_SUFFIXES = (".yaml", ".yml", ".names")  # of the files of class names beside labels
# Starts of the names of other files next to labels, by suffix; those of JSON are of Supervisely.
NO_LABELS = {
    ".txt": ("readme", "license", "train", "val", "test", "notes", "requirements"),
    ".json": ("meta.", "key_id_map."),
}


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
        if folder is not None and folder.paths and not folder.is_labeled:
            masks = folder
        else:
            box_format = config.box_format if use == "box" else None
            own = read_prompt_file(path, use, stdin=stdin, listed=listed, box_format=box_format, crowds=config.crowds)
            files.append(own)
    typed = read_typed(config)
    if beside and not files and masks is None and not typed and not (config.salient or config.objects):
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
    if box_format is not None:
        check_stated_format(file.outlined, box_format, file.path)
    elif file.box_format not in NORMALIZED:
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
        raise HqsamError(f"cannot be read ({error.strerror})", file=path, remedy="check the path") from None


def read_content(content: bytes, file: PromptFile) -> str:
    """Read a file with the first reader that accepts it; return the format name.

    Raises:
        ValueError: the format is unknown; the message says what it is and what to pass.
    """
    if placeholder := describe_placeholder(content[:HEAD]):
        raise ValueError(placeholder)
    if content.startswith(ZIP):
        raise ValueError("a zip archive; extract it, and pass the file or the folder in it")
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:4]
    if start[:1] == b"<" and start != b"<loc":  # a token of PaliGemma
        root = read_xml(content)
        if root is None:
            raise ValueError("XML that is broken or declares entities; export it again")
        if kind := next((kind for kind, read in XML_READERS.items() if read(root, file)), None):
            return kind
        raise ValueError(f"XML with the root element {root.tag}, neither {' nor '.join(XML_READERS)}; export it as one")
    is_json = start[:1] in (b"{", b"[")
    if not is_json and (kind := next((kind for kind, read in FILE_READERS.items() if read(content, file)), None)):
        return kind
    document = _document(content, is_json=is_json)
    if kind := next((kind for kind, read in JSON_READERS.items() if read(document, file)), None):
        return kind
    raise ValueError(
        f"{describe_document(document)}, no format of prompts that is known; pass COCO, with images and annotations, "
        "a line per image with file_name and annotations, or another format that docs/formats lists"
    )


def _document(content: bytes, *, is_json: bool) -> Any:
    """Parse a JSON document, or `Lines` of several.

    Raises:
        ValueError: it is neither; the message says what it is, and what to pass.
    """
    try:
        text = content.decode(json.detect_encoding(content), "surrogatepass")
    except UnicodeDecodeError:
        text = text_of(content)
    try:
        return parse_json(text)
    except RecursionError:
        raise ValueError(f"JSON nested too deeply to be COCO; {KINDS_OF_FILES}") from None
    except ValueError as whole:
        lines = Lines()
        # Not str.splitlines, which also splits at characters that names may contain.
        for number, line in enumerate(text.split("\n"), 1):
            try:
                lines += [parse_json(line)] if line.strip() else []
            except (ValueError, RecursionError):
                broken = f"line {number} is not JSON" if lines else f"broken JSON ({whole})"
                raise ValueError(f"{broken if is_json else describe_content(content)}; {KINDS_OF_FILES}") from None
        if not lines:
            raise ValueError(f"empty; {KINDS_OF_FILES}") from None
        return lines


def read_folder(folder: Path, file: PromptFile) -> None:
    """Read the label files of a folder, or of `labels` in the root of a dataset, in the format of most of them.

    Raises:
        HqsamError: no file is read.
    """
    place = folder / LABELS if is_root(folder) else folder
    classes = ClassNames(place)
    paths = [path for path in files_below(place, LABEL_SUFFIXES) if path.name != CLASSES]
    parts, problems = [], []
    for path in paths:
        own = PromptFile(
            file.path, file.use, given_format=file.given_format, listed=file.listed,
            label=path.relative_to(place).as_posix(), classes=classes,
        )  # fmt: skip
        try:
            own.kind = read_content(path.read_bytes(), own)
        except (ValueError, HqsamError) as error:
            if not path.name.lower().startswith(NO_LABELS.get(path.suffix.lower(), ())):
                problems.append((str(error), own.label))
        except OSError as error:
            problems.append((f"cannot be read ({error.strerror})", own.label))
        else:
            parts.append(own)
    if not parts:
        first = f"; {problems[0][1]}: {problems[0][0]}" if problems else ""
        remedy = f"pass a folder of {', '.join(LABEL_SUFFIXES)} files"
        raise HqsamError(f"contains no labels{first}", file=file.path, remedy=remedy)
    file.kind = Counter(own.kind for own in parts).most_common(1)[0][0]
    for own in parts:
        if own.kind == file.kind:
            file.merge(own)
        else:
            file.lose(f"{own.kind} in a folder of {file.kind}, skipped", own.label)
    for what, label in problems:
        file.skip(f"{what}, skipped", label)


def read_address(address: str, file: PromptFile) -> None:
    """Read a folder of labels at a URL; labels and class name files are downloaded."""
    there = AddressFolder(address)
    suffixes = (*LABEL_SUFFIXES, *NAME_SUFFIXES)
    names = [name for name in there.names() if PurePosixPath(name).suffix.lower() in suffixes]
    with TemporaryDirectory(prefix="hqsam-") as here:
        folder = Path(here, posixpath.basename(there.address))
        folder.mkdir()
        for name, content in zip(names, there.read(names), strict=True):
            path = folder / relative_name(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        read_folder(folder, file)


def is_root(folder: Path) -> bool:
    """Whether a folder is the root of a dataset, with labels in `labels`."""
    return (folder / LABELS).is_dir()


def settle_crowds(file: PromptFile, crowds: Crowds | None) -> None:
    """Keep or drop the crowd annotations of a file that is read.

    COCO has few crowds per class, and one per image and class. datumaro, Encord, darwin-py and supervision write
    objects that have several parts or holes as RLE with `iscrowd` 1; so by default, RLE is kept if nearly all
    annotations of its class are such, or an image has several.
    """
    found = [a for a in file.annotations if a.crowd]
    if not found:
        return
    totals, regions = Counter(map(_class, file.annotations)), Counter(_class(a) for a in found if a.crowd == "rle")
    in_images = Counter((a.key, _class(a)) for a in found if a.crowd == "rle")
    objects = {own for own, count in totals.items() if regions[own] >= MOST * count}
    objects |= {own for (_, own), count in in_images.items() if count > 1}
    kept = {id(a) for a in found if crowds == "keep" or (crowds is None and a.crowd == "rle" and _class(a) in objects)}
    dropped = [a for a in found if id(a) not in kept]
    file.annotations = [a for a in file.annotations if not a.crowd or id(a) in kept]
    for a in found if crowds is None else ():
        where = (
            f"{'entry' if a.annotation_id is None else f'annotation {a.annotation_id}'} of {file.images[a.key].label}"
        )
        if id(a) in kept:
            file.remark("crowd regions, by their number single objects, kept; pass `crowds` drop if not", where)
        elif 2 * len(dropped) > file.entries:
            file.lose("crowd regions, skipped; pass `crowds` keep if they are single objects", where, a.key)
        else:
            file.remark("crowd regions, skipped; pass `crowds` keep if they are single objects", where)


def _class(annotation: FileAnnotation) -> tuple[object, object]:
    return annotation.category, annotation.category_name
