"""Prompt files and folders of any format that `formats` knows, as the same small records."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from ..configs import BoxFormat
from ..errors import HqsamError
from ..formats import FILE_READERS, FOLDER_READERS, READERS
from ..formats.annotation_fields import read_annotations
from ..formats.boxes import SHARES
from ..formats.label_folder import label_paths, labels_below
from ..formats.ndjson import Lines, read_lines
from ..formats.prompt_file import Contents, FileAnnotation, Notes, PromptFile, Use, note
from ..formats.values import Identifier, identifier, is_set, read_numbers
from ..io.address_folder import AddressFolder
from ..io.find import relative_name
from ..io.gzipped import unzipped
from ..io.places import is_address, read_bytes
from ..io.stand_ins import HEAD, describe_stand_in

STDIN = "-"
ROUNDING = 0.01  # by which shares may leave 0 to 1
MOST = 0.9  # of the boxes; a few may be anything
ZIP = b"PK\x03\x04"
LABEL_FILES = (*FOLDER_READERS, ".yaml", ".yml", ".names")
KINDS_OF_FILES = f"give one of these files: {', '.join((*READERS, *FILE_READERS))}"


def read_prompt_file(
    path: str,
    use: Use | None,
    *,
    stdin: BinaryIO | None = None,
    listed: PromptFile | None = None,
    box_format: BoxFormat | None = None,
) -> PromptFile:
    """Records of a file, or of stdin for `-`.

    Args:
        use: what its annotations are read for; None reads images and categories alone.
        listed: the file that lists the images of a results list.
        box_format: of its boxes; where nobody says it, the kind of file does, and boxes that cannot be meant so are
            refused.

    Raises:
        HqsamError: unreadable, or of no kind that is known.
    """
    name = "stdin" if path == STDIN else path
    content = _content(path, stdin)
    if stand_in := describe_stand_in(content[:HEAD]):
        raise HqsamError(stand_in, file=name)
    if content.startswith(ZIP):
        raise HqsamError("a zip archive", file=name, remedy="unpack it, and give the file or the folder in it")
    notes = Notes()
    try:
        kind, contents = _contents(content, name, listed, notes)
    except ValueError as error:
        raise HqsamError(str(error), file=name) from None
    if use == "box" and box_format is None:
        _check_pixels(contents, name)
    return _speaking(_prompt_file(name, kind, contents, use, box_format, notes))


def _contents(content: bytes, name: str, listed: PromptFile | None, notes: Notes) -> tuple[str, Contents]:
    """What a file is, and what is in it."""
    for kind, read_file in FILE_READERS.items():
        if (contents := read_file(content, notes)) is not None:
            return kind, contents
    document = _document(content, name)
    for kind, read in READERS.items():
        if (contents := read(document, listed, notes)) is not None:
            return kind, contents
    raise HqsamError(
        f"JSON, but none of {', '.join(READERS)}",
        file=name,
        remedy="give an object with images and annotations, a list of results with image_id, a list of tasks with "
        "data, or a line an image with file_name and annotations",
    )


def read_beside(beside: Mapping[str, bytes], *, box_format: BoxFormat | None = None) -> PromptFile:
    """Boxes of the JSON that tars have beside images: a line of NDJSON each, or its list of annotations alone.

    Args:
        beside: the JSON, by the name of the image.
    """
    notes, lines, odd = Notes(), Lines(), []
    for name, content in beside.items():
        try:
            document = _parse(content.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            odd.append(name)
            continue
        if isinstance(document, list):
            document = {"annotations": document}
        if isinstance(document, dict) and "annotations" in document:
            lines.append({**document, "file_name": name})
    note(notes.lost, "JSON beside images that is none, left out", odd)
    contents = read_lines(lines, None, notes) or Contents({}, [])
    return _prompt_file("tars", "JSON beside images", contents, "box", box_format, notes)


def read_prompt_folder(
    folder: Path, use: Use, *, box_format: BoxFormat | None = None, named: str | None = None
) -> PromptFile:
    """Records of a folder with a file of labels an image, YOLO's, VOC's or labelme's, or of the root of a data set.

    Args:
        named: what people know it by, where that is not its path.

    Raises:
        HqsamError: it holds no labels.
    """
    place = labels_below(folder)
    suffix, paths, others = label_paths(place, tuple(FOLDER_READERS))
    if suffix is None:
        raise HqsamError(
            "holds no labels",
            file=named or folder,
            remedy="give a folder of YOLO's .txt, VOC's .xml or labelme's .json",
        )
    notes = Notes()
    kind, read = FOLDER_READERS[suffix]
    contents = read(place, paths, notes)
    note(notes.lost, f"labels of another kind than {suffix}, left out", [path.name for path in others])
    return _speaking(_prompt_file(named or str(folder), kind, contents, use, box_format, notes))


def read_prompt_address(address: str, use: Use, *, box_format: BoxFormat | None = None) -> PromptFile:
    """Records of a folder of labels at an address; its labels, and the names of classes in it, are fetched.

    Raises:
        HqsamError: it cannot be fetched, or holds no labels.
    """
    there = AddressFolder(address)
    names = [name for name in there.names() if PurePosixPath(name).suffix.lower() in LABEL_FILES]
    with TemporaryDirectory(prefix="hqsam-") as here:
        folder = Path(here, posixpath.basename(there.address))
        for name, content in zip(names, there.read(names), strict=True):
            path = folder / relative_name(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        folder.mkdir(exist_ok=True)
        return read_prompt_folder(folder, use, box_format=box_format, named=address)


def _prompt_file(
    path: str, kind: str, contents: Contents, use: Use | None, box_format: BoxFormat | None, notes: Notes
) -> PromptFile:
    box_format = box_format or contents.box_format
    if use == "box" and box_format in SHARES:
        use = "xyxyn"
    annotations = [] if use is None else read_annotations(contents, use, notes, box_format=box_format)
    said = Notes([f"{path}: {text}" for text in notes.lost], [f"{path}: {text}" for text in notes.remarks])
    count = len(contents.annotations) + contents.unread
    silent = frozenset[Identifier]() if use is None else _silent(contents, annotations)
    return PromptFile(
        path,
        use,
        contents.images,
        annotations,
        contents.categories,
        count,
        unlisted=contents.unlisted,
        numbered=contents.numbered,
        notes=said,
        kind=kind,
        silent=silent,
    )


def _speaking(file: PromptFile) -> PromptFile:
    """The file; an HqsamError where nothing that is said in it is about objects. One that is empty may be meant so."""
    if file.says_nothing and file.kind != "COCO results" and (file.images or file.notes.lost):
        trouble = f": {file.notes.lost[0].removeprefix(f'{file.path}: ')}" if file.notes.lost else ""
        raise HqsamError(
            f"{file.kind}, in which there are no annotations{trouble}",
            file=file.path,
            remedy="give the file of the objects; an empty list of annotations says that an image has none",
        )
    return file


def _silent(contents: Contents, annotations: Sequence[FileAnnotation]) -> frozenset[Identifier]:
    """See `PromptFile`; crowd regions are understood, and no objects."""
    silent = set(contents.silent)
    if len(annotations) < len(contents.annotations):
        asked = (item for item in contents.annotations if isinstance(item, dict) and not is_set(item.get("iscrowd")))
        silent |= {key for item in asked if (key := identifier(item.get("image_id"))) is not None}
    return frozenset(silent.difference(annotation.key for annotation in annotations))


def _check_pixels(contents: Contents, name: str) -> None:
    """Raise an HqsamError where no box can be in pixels; or, in files like COCO's, x, y, width and height."""
    boxes, sizes = [], []
    for item in contents.annotations:
        if isinstance(item, dict) and is_set(item.get("iscrowd")):
            continue
        numbers = read_numbers(item.get("bbox"), 4) if isinstance(item, dict) else None
        if numbers is not None and numbers[2] > 0 and numbers[3] > 0:
            key = identifier(item.get("image_id"))
            boxes.append(numbers)
            image = None if key is None else contents.images.get(key)
            sizes.append(None if image is None else image.size)
    small = [box for box in boxes if all(-ROUNDING <= n <= 1 + ROUNDING for n in box)]
    if len(small) >= MOST * len(boxes) > 0 and any(n % 1 for box in small for n in box):
        raise HqsamError(
            "its boxes are between 0 and 1, which are shares of an image and no pixels",
            file=name,
            remedy="pass `box_format` cxcywhn for center and size, xyxyn for corners, "
            f"or {contents.box_format} if they are pixels",
        )
    if contents.box_format != "xywh":
        return
    known = [(box, size) for box, size in zip(boxes, sizes, strict=True) if size is not None]
    leave = sum(x + w > width + 1 or y + h > height + 1 for (x, y, w, h), (width, height) in known)
    corners = sum(x < w <= width + 1 and y < h <= height + 1 for (x, y, w, h), (width, height) in known)
    if 2 * leave > len(known) and corners >= MOST * len(known):
        raise HqsamError(
            f"{leave} of {len(known)} boxes leave their images when read as x, y, width, height, and fit as corners",
            file=name,
            remedy="pass `box_format` xyxy, or xywh if they are meant so",
        )


def _content(path: str, stdin: BinaryIO | None) -> bytes:
    if path == STDIN:
        assert stdin is not None
        content = stdin.read()
    elif is_address(path):
        content = read_bytes(path)
    else:
        try:
            with open(path, "rb") as file:
                content = file.read()
        except OSError as error:
            raise HqsamError(f"cannot be read ({error.strerror})", file=path, remedy=KINDS_OF_FILES) from None
    return unzipped(content, path)


def _document(content: bytes, name: str) -> Any:
    """The JSON document, or the `Lines` of several."""
    try:
        text = content.decode(json.detect_encoding(content), "surrogatepass")
        return _parse(text)
    except RecursionError:
        raise HqsamError("JSON nested too deeply to be COCO", file=name, remedy=KINDS_OF_FILES) from None
    except UnicodeDecodeError as error:  # before ValueError, which it is
        raise HqsamError(f"not JSON ({error})", file=name, remedy=KINDS_OF_FILES) from None
    except ValueError as whole:
        lines = Lines()
        # Not str.splitlines, which splits at what may stand in a name.
        for number, line in enumerate(text.split("\n"), 1):
            try:
                lines += [_parse(line)] if line.strip() else []
            except (ValueError, RecursionError):
                reason = f"line {number} is not JSON" if lines else f"not JSON ({whole})"
                raise HqsamError(reason, file=name, remedy=KINDS_OF_FILES) from None
        if not lines:
            raise HqsamError("empty", file=name, remedy=KINDS_OF_FILES) from None
        return lines


def _parse(text: str) -> Any:
    """The value of a JSON text. NaN and the infinities, which Python writes and JSON does not know, are null."""
    return json.loads(text, parse_constant=lambda _name: None)
