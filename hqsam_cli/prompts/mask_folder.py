"""Coarse masks as image files: `<image>/<annotation id>.png`, `<image>.png` or `<stem>.png`, and id maps of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..configs.formats import LABEL_SUFFIXES
from ..formats.image_writer import IdMapWriter, PngWriter
from ..formats.values import Identifier, dict_or_empty, identifier, integer, list_or_empty, number_or_none
from ..io.find import is_junk
from ..io.images import READ_SUFFIXES
from ..io.run_folder import JOURNAL
from ..records import MappedObject
from .prompt_file import FileAnnotation, PromptFile


@dataclass(frozen=True, slots=True)
class MaskFolder:
    """A folder of coarse masks.

    Attributes:
        paths: relative paths of masks, with `/`, by path without suffix; PNG takes precedence.
        twins: ignored masks whose name exists with another suffix.
        is_labeled: whether label files are beside images, which then are no masks.
        run: the categories of the run that wrote the folder, if one did.
        objects: of that run, the objects of each image by id, with category and score; the order is that of the values
            1, 2, … of its id maps.
    """

    folder: Path
    paths: Mapping[str, str]
    twins: tuple[str, ...] = ()
    is_labeled: bool = False
    run: PromptFile = field(default_factory=lambda: PromptFile("", None))
    objects: Mapping[str, Mapping[int, FileAnnotation]] = field(default_factory=dict)

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
        return cls(folder, paths, twins, not labels.isdisjoint(paths), *_read_run(folder.absolute()))

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
            elif whole is not None and name in self.objects:
                for value, number in enumerate(self.objects[name], 1):
                    yield name, number, whole, MappedObject(self.folder / whole, value, listed=True)
            elif whole is not None:
                yield name, None, whole, self.folder / whole


def _read_run(folder: Path) -> tuple[PromptFile, dict[str, dict[int, FileAnnotation]]]:
    """The categories of the run that wrote a folder, and its objects as in `MaskFolder`; none of other folders."""
    journal = folder.parent / JOURNAL
    run, found = PromptFile(str(journal), None), dict[str, dict[int, FileAnnotation]]()
    if folder.name not in (PngWriter.folder, IdMapWriter.folder) or not journal.is_file():
        return run, found
    names: dict[Identifier | None, str] = {}
    with open(journal, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                record = dict_or_empty(json.loads(line))
            except ValueError:
                continue  # of a run that was killed
            if categories := list_or_empty(dict_or_empty(record.get("began")).get("categories")):
                run.categories, names = categories, {own["id"]: own["name"] for own in categories}
            if isinstance(name := record.get("file_name"), str):
                found[name] = {}
                for own in map(dict_or_empty, list_or_empty(record.get("annotations"))):
                    if (number := integer(own.get("id"))) is not None:
                        category, score = identifier(own.get("category_id")), number_or_none(own.get("score"))
                        found[name][number] = FileAnnotation(
                            name, "mask", None, number, category, names.get(category), score
                        )
    return run, found


def files_below(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Files with one of the suffixes, sorted, without system files."""
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes and not path.is_dir()]
    return [path for path in found if not any(map(is_junk, path.relative_to(folder).parts))]
