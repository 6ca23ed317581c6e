"""Which image of a run a prompt file means: names and image ids against paths."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..formats.prompt_file import FileImage, PromptFile, some_of
from ..formats.yolo import CLASSES


def match_names(file: PromptFile, file_names: list[str]) -> tuple[dict[str, str], list[str]]:
    """Names of images of the run by the keys the file has for them, and a sentence for each that is in doubt.

    A name matches itself; else the longest name it ends with (`a.jpg` in the file, `imgs/a.jpg` in the run);
    else the one that ends with it (`val/a.jpg` in the file, `a.jpg` in the run). An image without a name
    matches by its id as the stem, with or without leading zeros.
    """
    keys: dict[str, list[str]] = defaultdict(list)
    for image in file.images.values():
        keys[_written(image)].append(image.key)
    ending: dict[str, list[str]] = defaultdict(list)
    for written in keys:
        for tail in tails(written):
            ending[tail].append(written)

    doubts: list[str] = []
    candidates: dict[str, list[str]] = defaultdict(list)
    for name in file_names:
        stem = _stem_mark(PurePosixPath(name).stem)
        found = [written for written in (name, *tails(name), stem) if written in keys][:1] or ending.get(name, [])
        if len(found) == 1:
            candidates[found[0]].append(name)
        elif found:
            doubts.append(f"{name} could be any of {some_of(found)}")

    matched: dict[str, str] = {}
    for written, names in candidates.items():
        if written in names or len(names) == 1:
            name = written if written in names else names[0]
            matched.update((key, name) for key in keys[written])
        else:
            doubts.append(f"{file.images[keys[written][0]].label} could be any of {some_of(names)}")
    return matched, doubts


def _written(image: FileImage) -> str:
    return _stem_mark(image.key) if image.file_name is None else image.file_name


def _stem_mark(stem: str) -> str:
    """A stem as no file name is written, with a NUL before it, and without leading zeros if it is a number."""
    return "\0" + (stem.lstrip("0") or "0" if stem.isascii() and stem.isdigit() else stem)


def tails(name: str) -> Iterator[str]:
    """`b/c.jpg` and `c.jpg` of `a/b/c.jpg`, longest first."""
    while "/" in name:
        name = name.split("/", 1)[1]
        yield name


def label_files(folder: Path, file_names: list[str]) -> tuple[dict[str, Path], list[str]]:
    """Label files by image, and a sentence for each that could be for several and for those that are for none.

    The labels of `imgs/a.jpg` are `imgs/a.jpg.txt`, else `imgs/a.txt`, else `a.jpg.txt` or `a.txt`.
    """
    images: dict[Path, list[str]] = {path: [] for path in sorted(folder.rglob("*.txt")) if path.name != CLASSES}
    for name in file_names:
        stems = (stem for tail in (name, *tails(name)) for stem in (tail, os.path.splitext(tail)[0]))
        path = next((path for stem in stems if (path := folder / f"{stem}.txt") in images), None)
        if path is not None:
            images[path].append(name)
    idle = [str(path.relative_to(folder)) for path, names in images.items() if not names]
    problems = [
        f"{path}: could be for any of {some_of(names)}; left out" for path, names in images.items() if len(names) > 1
    ]
    if idle:
        problems.append(f"{folder}: labels that match no input: {len(idle)} ({some_of(idle)})")
    return {names[0]: path for path, names in images.items() if len(names) == 1}, problems
