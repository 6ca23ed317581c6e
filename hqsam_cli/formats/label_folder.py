"""Folders with a file of labels an image, of any format."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ..io.find import is_junk
from .prompt_file import FileImage, Notes

LABELS = "labels"  # of a data set of ultralytics, beside `images`


def label_image(folder: Path, path: Path, size: tuple[int, int] | None = None) -> FileImage:
    """The image of a label file: its path below the folder, but for the suffix, is that of the image."""
    *folders, file = path.relative_to(folder).with_suffix("").parts
    # As ultralytics has it: train/labels/a.txt is of train/images/a.jpg.
    name = "/".join([*("images" if part == LABELS else part for part in folders), file])
    return FileImage(path.relative_to(folder).as_posix(), name, "path_stem", size=size)


def read_label(path: Path, notes: Notes) -> bytes | None:
    """The content of a label file; None where it cannot be read, which is noted."""
    try:
        return path.read_bytes()
    except OSError as error:
        notes.lost.append(f"{path.name}: cannot be read ({error.strerror}); left out")
        return None


def is_root(folder: Path) -> bool:
    """Whether a folder is the root of a data set, with its labels in `labels`."""
    return (folder / LABELS).is_dir()


def labels_below(folder: Path) -> Path:
    """Where the labels of a folder lie."""
    return folder / LABELS if is_root(folder) else folder


def label_paths(folder: Path, suffixes: tuple[str, ...]) -> tuple[str | None, list[Path], list[Path]]:
    """The suffix most of the label files have, these files, sorted, and those of the other suffixes."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes and not path.is_dir()]
    paths = [path for path in found if not any(map(is_junk, path.relative_to(folder).parts))]
    counts = Counter(path.suffix.lower() for path in paths)
    if not counts:
        return None, [], []
    suffix = max(suffixes, key=lambda suffix: counts[suffix])
    own = [path for path in paths if path.suffix.lower() == suffix]
    return suffix, own, [path for path in paths if path.suffix.lower() != suffix]
