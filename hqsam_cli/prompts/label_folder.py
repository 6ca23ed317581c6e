"""Folders with a file of labels an image, of any format."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from ..formats.yolo import LABELS
from ..io.find import is_junk
from .prompt_file import PromptFile


def label_contents(paths: list[Path], file: PromptFile) -> Iterator[tuple[Path, bytes]]:
    """Label files that can be read, and what is in them."""
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            file.lose(f"label files that cannot be read ({error.strerror}), left out", path.name)
        else:
            yield path, content


def add_label_image(file: PromptFile, folder: Path, path: Path, size: tuple[object, object] = (None, None)) -> str:
    """Add the image of a label file, whose path below the folder it has but for the suffix; its key."""
    *folders, name = path.relative_to(folder).with_suffix("").parts
    # As ultralytics has it: train/labels/a.txt is of train/images/a.jpg.
    own = "/".join([*("images" if part == LABELS else part for part in folders), name])
    key = path.relative_to(folder).as_posix()
    file.add_image(key, own, path.name, size, kind="path_stem")
    return key


def is_root(folder: Path) -> bool:
    """Whether a folder is the root of a data set, with its labels in `labels`."""
    return (folder / LABELS).is_dir()


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files with one of these suffixes, sorted, without what systems leave behind."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes and not path.is_dir()]
    return [path for path in found if not any(map(is_junk, path.relative_to(folder).parts))]
