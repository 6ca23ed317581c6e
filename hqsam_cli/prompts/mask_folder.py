"""Coarse masks as image files: `<image>/<annotation id>.png`, `<image>.png` or `<stem>.png`, and id maps of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..configs.formats import LABEL_SUFFIXES
from ..formats.image_writer import IdMapWriter
from ..formats.values import dict_or_empty, integer, list_or_empty
from ..io.find import is_junk
from ..io.images import READ_SUFFIXES
from ..io.run_folder import JOURNAL
from ..records import MappedObject


@dataclass(frozen=True, slots=True)
class MaskFolder:
    """A folder of coarse masks.

    Attributes:
        paths: relative paths of masks, with `/`, by path without suffix; PNG takes precedence.
        twins: ignored masks whose name exists with another suffix.
        annotation_ids: of the id maps of a run, the ids of values 1, 2, … by the name of the image.
        is_labeled: whether label files are beside images, which then are no masks.
    """

    folder: Path
    paths: Mapping[str, str]
    twins: tuple[str, ...] = ()
    annotation_ids: Mapping[str, Sequence[int]] = field(default_factory=dict)
    is_labeled: bool = False

    @classmethod
    def of(cls, folder: Path) -> MaskFolder:
        """Find the masks of a folder."""
        found = [path.relative_to(folder) for path in files_below(folder, (*READ_SUFFIXES, *LABEL_SUFFIXES))]
        labels = {path.with_suffix("").as_posix() for path in found if path.suffix.lower() in LABEL_SUFFIXES}
        found = [path for path in found if path.suffix.lower() in READ_SUFFIXES]
        paths: dict[str, str] = {}
        for path in sorted(found, key=lambda path: (path.suffix.lower() != ".png", path)):
            paths.setdefault(path.with_suffix("").as_posix(), path.as_posix())
        twins = tuple(sorted({path.as_posix() for path in found}.difference(paths.values())))
        return cls(folder, paths, twins, _annotation_ids(folder.absolute()), not labels.isdisjoint(paths))

    def of_images(self, names: Sequence[str]) -> Iterator[tuple[str, int | None, str, Path | MappedObject]]:
        """Yield the image, the annotation id (None for the whole image), the relative path and the mask of objects."""
        within: dict[str, dict[int, str]] = {}
        for stem, path in sorted(self.paths.items()):
            image, _, own = stem.rpartition("/")
            number = integer(own)
            if image and number is not None:
                within.setdefault(image, {})[number] = path
        for name in names:
            whole = next((self.paths[stem] for stem in (name, os.path.splitext(name)[0]) if stem in self.paths), None)
            if name in within:
                yield from ((name, n, path, self.folder / path) for n, path in sorted(within[name].items()))
            elif whole is not None and name in self.annotation_ids:
                for value, number in enumerate(self.annotation_ids[name], 1):
                    yield name, number, whole, MappedObject(self.folder / whole, value, listed=True)
            elif whole is not None:
                yield name, None, whole, self.folder / whole


def _annotation_ids(folder: Path) -> dict[str, list[int]]:
    """The annotation ids of the objects in the id maps of a run, by its journal; empty for other folders."""
    journal = folder.parent / JOURNAL
    if folder.name != IdMapWriter.folder or not journal.is_file():
        return {}
    found: dict[str, list[int]] = {}
    for line in journal.read_text("utf-8", "replace").split("\n"):
        try:
            record = dict_or_empty(json.loads(line or "{}"))
        except ValueError:
            continue  # of a run that was killed
        ids = [integer(dict_or_empty(own).get("id")) for own in list_or_empty(record.get("annotations"))]
        if isinstance(name := record.get("file_name"), str):
            found[name] = [number for number in ids if number is not None]
    return found


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files with one of the suffixes, sorted, without system files."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes and not path.is_dir()]
    return [path for path in found if not any(map(is_junk, path.relative_to(folder).parts))]
