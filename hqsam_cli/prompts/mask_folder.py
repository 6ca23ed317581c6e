"""Coarse masks as image files: `<image>/<annotation id>.png`, `<image>.png` or `<stem>.png`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..formats.values import integer

SUFFIX = ".png"


@dataclass(frozen=True, slots=True)
class MaskFolder:
    """A folder of coarse masks.

    Attributes:
        paths: of its masks, relative to it, with `/`.
    """

    folder: Path
    paths: frozenset[str]

    @classmethod
    def of(cls, folder: Path) -> MaskFolder:
        """What lies in a folder."""
        found = (path for path in folder.rglob("*") if path.suffix.lower() == SUFFIX and not path.is_dir())
        return cls(folder, frozenset(path.relative_to(folder).as_posix() for path in found))

    def of_images(self, names: Sequence[str]) -> Iterator[tuple[str, int | None, str]]:
        """For each mask of an image: the image, the annotation it is of or None for the image as a whole, its path."""
        within: dict[str, list[tuple[int, str]]] = {}
        for path in sorted(self.paths):
            image, _, file = path.rpartition("/")
            number = integer(file[: -len(SUFFIX)])
            if image and number is not None:
                within.setdefault(image, []).append((number, path))
        for name in names:
            if name in within:
                yield from ((name, number, path) for number, path in sorted(within[name]))
            else:
                whole = (f"{stem}{SUFFIX}" for stem in (name, os.path.splitext(name)[0]))
                yield from ((name, None, path) for path in [p for p in whole if p in self.paths][:1])
