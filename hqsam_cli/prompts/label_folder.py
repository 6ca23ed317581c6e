"""Folders with one label file per image, in any format."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from ..formats.yolo import LABELS
from ..io.find import is_junk
from .prompt_file import PromptFile


def label_contents(paths: list[Path], file: PromptFile) -> Iterator[tuple[Path, bytes]]:
    """Yield readable label files with their content."""
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as error:
            file.lose(f"label files that cannot be read ({error.strerror}), skipped", path.name)
        else:
            yield path, content


def add_label_image(file: PromptFile, folder: Path, path: Path, size: tuple[object, object] = (None, None)) -> str:
    """Add the image of a label file, which has the same relative path except for the suffix; return its key."""
    *folders, name = path.relative_to(folder).with_suffix("").parts
    # As in ultralytics: train/labels/a.txt belongs to train/images/a.jpg.
    own = "/".join([*("images" if part == LABELS else part for part in folders), name])
    key = path.relative_to(folder).as_posix()
    file.add_image(key, own, path.name, size, kind="path_stem")
    return key


def is_root(folder: Path) -> bool:
    """Whether a folder is the root of a dataset, with labels in `labels`."""
    return (folder / LABELS).is_dir()


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files with one of the suffixes, sorted, without system files."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes and not path.is_dir()]
    return [path for path in found if not any(map(is_junk, path.relative_to(folder).parts))]
