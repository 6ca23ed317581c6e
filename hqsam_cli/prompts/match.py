"""Which image of a run a prompt file means: names and image ids against paths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from ..formats.prompt_files import FileImage, PromptFile, some_of


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
