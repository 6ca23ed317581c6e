"""Coarse masks as image files: `<image>/<annotation id>.png`, `<image>.png` or `<stem>.png`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..formats.values import integer
from ..io.find import is_junk
from ..io.images import READ_SUFFIXES


@dataclass(frozen=True, slots=True)
class MaskFolder:
    """A folder of coarse masks.

    Attributes:
        paths: of its masks, relative to it, with `/`, by themselves without the suffix; of two kinds the PNG counts.
        twins: those that have the name of another kind.
    """

    folder: Path
    paths: Mapping[str, str]
    twins: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> MaskFolder:
        """What lies in a folder."""
        found = [path.relative_to(folder) for path in folder.rglob("*") if path.suffix.lower() in READ_SUFFIXES]
        found = [path for path in found if not any(map(is_junk, path.parts)) and not (folder / path).is_dir()]
        paths: dict[str, str] = {}
        twins = []
        for path in sorted(found, key=lambda path: (path.suffix.lower() != ".png", path)):
            stem = path.with_suffix("").as_posix()
            if paths.setdefault(stem, path.as_posix()) != path.as_posix():
                twins.append(path.as_posix())
        return cls(folder, paths, tuple(twins))

    def of_images(self, names: Sequence[str]) -> Iterator[tuple[str, int | None, str]]:
        """For each mask of an image: the image, the annotation it is of or None for the image as a whole, its path."""
        within: dict[str, list[tuple[int, str]]] = {}
        for stem, path in sorted(self.paths.items()):
            image, _, own = stem.rpartition("/")
            number = integer(own)
            if image and number is not None:
                within.setdefault(image, []).append((number, path))
        for name in names:
            if name in within:
                yield from ((name, number, path) for number, path in sorted(within[name]))
            else:
                whole = (self.paths.get(stem) for stem in (name, os.path.splitext(name)[0]))
                yield from ((name, None, path) for path in [path for path in whole if path is not None][:1])
