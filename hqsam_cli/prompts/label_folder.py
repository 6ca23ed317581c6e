"""Folders of label files, and their download."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from ..configs.formats import LABEL_SUFFIXES
from ..errors import HqsamError
from ..formats.yolo import CLASSES, LABELS
from ..io.address_folder import AddressFolder
from ..io.find import is_junk
from ..io.names import relative_name
from .class_names import ClassNames
from .content import read_content
from .prompt_file import PromptFile

NAME_SUFFIXES = (".yaml", ".yml", ".names")  # of the files of class names beside labels
# Starts of the names of other files next to labels, by suffix; those of JSON are of Supervisely.
NO_LABELS = {
    ".txt": ("readme", "license", "train", "val", "test", "notes", "requirements"),
    ".json": ("meta.", "key_id_map."),
}


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


def is_labeled(folder: Path, images: Collection[str]) -> bool:
    """Whether a folder has label files beside images, given by their relative paths without suffix."""
    labels = (path.relative_to(folder).with_suffix("") for path in files_below(folder, LABEL_SUFFIXES))
    return any(path.as_posix() in images for path in labels)


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files with one of the suffixes, sorted, without system files."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes and not path.is_dir()]
    return [path for path in found if not any(map(is_junk, path.relative_to(folder).parts))]
