"""Coarse masks as image files: `<image>/<annotation id>.png`, `<image>.png` or `<stem>.png`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..formats.values import integer
from ..io.find import is_junk
from ..io.images import READ_SUFFIXES


@dataclass(frozen=True, slots=True)
class MaskFolder:
    """A folder of coarse masks.

    Attributes:
        paths: relative paths of masks, with `/`, by path without suffix; PNG takes precedence.
        twins: ignored masks whose name exists with another suffix.
    """

    folder: Path
    paths: Mapping[str, str]
    twins: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: Path) -> MaskFolder:
        """Find the masks of a folder."""
        found = [path.relative_to(folder) for path in files_below(folder, READ_SUFFIXES)]
        paths: dict[str, str] = {}
        for path in sorted(found, key=lambda path: (path.suffix.lower() != ".png", path)):
            paths.setdefault(path.with_suffix("").as_posix(), path.as_posix())
        twins = {path.as_posix() for path in found}.difference(paths.values())
        return cls(folder, paths, tuple(sorted(twins)))

    def of_images(self, names: Sequence[str]) -> Iterator[tuple[str, int | None, str]]:
        """Yield the image, the annotation id (None for the whole image) and the path of each mask."""
        within: dict[str, dict[int, str]] = {}
        for stem, path in sorted(self.paths.items()):
            image, _, own = stem.rpartition("/")
            number = integer(own)
            if image and number is not None:
                within.setdefault(image, {})[number] = path
        for name in names:
            whole = next((self.paths[stem] for stem in (name, os.path.splitext(name)[0]) if stem in self.paths), None)
            if name in within:
                yield from ((name, number, path) for number, path in sorted(within[name].items()))
            elif whole is not None:
                yield name, None, whole


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files with one of the suffixes, sorted, without system files."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes and not path.is_dir()]
    return [path for path in found if not any(map(is_junk, path.relative_to(folder).parts))]
