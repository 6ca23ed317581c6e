"""Stream images and annotations from a result file, or from the output folder of a finished or aborted run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, cast

from ..batch.journal import Contents, Origin, read_records
from ..batch.object_journal import has_journal, is_finished, journal_contents, journal_of, local_journal
from ..errors import HqsamError
from ..formats.coco import INSTANCES
from ..formats.coco_file import ID, REMEDY, Kind, defect, entries, kind_of, opened, parsed
from ..formats.ndjson import INSTANCES as LINES
from ..io.copies import LocalCopy, below
from ..io.run_folder import JOURNAL
from ..records import Annotation, Category, CocoImage, ImageRecord


@dataclass(frozen=True, slots=True)
class Results:
    """Images, annotations and categories in COCO form. Streams may be opened any number of times.

    Attributes:
        path: path or URL of the file; of several, the first.
        kind: file format; a COCO results list has no images and no categories.
        info: COCO `info`.
        categories: in the order of the file.
        images: with `id`, `file_name`, and optionally `width`, `height` and `error`.
        annotations: with `image_id`, in the order of the file.
        journal: path or URL of the journal of the run, or None.
    """

    path: Path | str
    kind: Kind
    info: Mapping[str, Any] = field(default_factory=dict)
    categories: list[Category] = field(default_factory=list)
    images: Callable[[], Iterator[CocoImage]] = lambda: iter(())
    annotations: Callable[[], Iterator[Annotation]] = lambda: iter(())
    journal: Path | str | None = None


def open_results(path: Path | str) -> Results:
    """Open the results of a file or of the output folder of a run, given by path, or by URL as a string.

    For a run, the result file is used; if it is missing, or the last command did not finish, the journal.

    Raises:
        HqsamError: the file cannot be read, or has an unknown format. Errors in later parts are raised when read.
    """
    if isinstance(path, Path) and not path.is_dir():
        return _of_file(LocalCopy(path))
    if isinstance(path, str) and PurePosixPath(path).suffix and (file := LocalCopy(path)).is_there:
        return _of_file(file)
    place: Path | str | None = None
    # HTTP servers do not list journals.
    if not str(path).startswith("http") and not has_journal(place := journal_of(path)):
        place = None
    if place is None or is_finished(place):
        for file in (LocalCopy(below(path, name)) for name in (INSTANCES, LINES)):
            if file.is_there:
                return _of_file(file, place)
    if place is not None:
        return _of_journal(place)
    if isinstance(path, str) and (file := LocalCopy(path)).is_there:
        return _of_file(file)
    raise HqsamError(f"has no {INSTANCES}, {LINES} or {JOURNAL}", file=path, remedy=REMEDY)


def journal_records(place: Path | str, contents: Contents) -> Iterator[tuple[Origin, ImageRecord]]:
    """Yield all records of a journal, in the order of the run."""
    return read_records(local_journal(place), contents.entries, contents.entries)


def _of_file(file: LocalCopy, journal: Path | str | None = None) -> Results:
    kind = kind_of(file)
    if kind == "NDJSON":
        return _of_records(Results(file.name, kind, journal=journal), partial(_lines, file))
    if kind == "COCO results":
        return Results(file.name, kind, annotations=partial(entries, file, "item"), journal=journal)
    info: Any = next(parsed(file, "items", "info"), {})
    return Results(
        file.name,
        kind,
        info if isinstance(info, dict) else {},
        [own | {"name": own.get("name") or f"category {own['id']}"} for own in entries(file, "categories.item")],
        partial(entries, file, "images.item"),
        partial(entries, file, "annotations.item"),
        journal,
    )


def _of_journal(place: Path | str) -> Results:
    contents = journal_contents(place)
    categories = cast(list[Category], contents.last.categories if contents.last else [])

    def records() -> Iterator[ImageRecord]:
        for _, record in journal_records(place, journal_contents(place)):
            for annotation in record.annotations:
                annotation.pop("polygons", None)  # stored next to the mask
            yield record

    return _of_records(Results(place, "journal", contents.info, categories, journal=place), records)


def _of_records(results: Results, records: Callable[[], Iterator[ImageRecord]]) -> Results:
    """Results with the images and annotations of records; the first record of an image counts."""

    def images() -> Iterator[CocoImage]:
        seen = set()
        for record in records():
            if record.image_id not in seen:
                seen.add(record.image_id)
                image: CocoImage = {"id": record.image_id, "file_name": record.file_name}
                if record.size is not None:
                    image["width"], image["height"] = record.size
                yield image if record.failure is None else {**image, "error": str(record.failure)}

    def annotations() -> Iterator[Annotation]:
        for record in records():
            for annotation in record.annotations:
                yield {**annotation, "image_id": record.image_id}

    categories = results.categories or _named_categories(annotations())
    return replace(results, images=images, annotations=annotations, categories=categories)


def _lines(source: LocalCopy) -> Iterator[ImageRecord]:
    """Yield the records of NDJSON.

    An image has the id of its first line, or else the line number; a free one if another image has it, as in
    concatenated files. Lines with equal names are one image.
    """
    ids: dict[str, Any] = {}
    taken: set[Any] = set()
    free = 1
    with opened(source) as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            given = json.loads(line)
            if not isinstance(given, dict) or not isinstance(given.get("file_name"), str):
                raise HqsamError(f"line {number} is not an image", file=source.name, remedy=REMEDY)
            annotations = given.get("annotations") or []
            if not isinstance(annotations, list) or any(defect(own) is not None for own in annotations):
                raise HqsamError(f"line {number} has invalid annotations", file=source.name, remedy="fix the file")
            name, image_id = given["file_name"], given.get("image_id")
            if name not in ids:
                image_id = image_id if isinstance(image_id, ID) else number
                while image_id in taken:
                    image_id, free = free, free + 1
                ids[name] = image_id
                taken.add(image_id)
            sizes = {key: given.get(key) for key in ("width", "height", "error")}
            yield ImageRecord.from_dict({**sizes, "file_name": name, "image_id": ids[name], "annotations": annotations})


def _named_categories(annotations: Iterator[Annotation]) -> list[Category]:
    """Categories named by annotations, or else by their ids."""
    names: dict[Any, str] = {}
    for own in annotations:
        number = own.get("category_id")
        if number is not None and number not in names:
            names[number] = str(own.get("category") or own.get("category_name") or f"category {number}")
    listed = sorted(names.items(), key=lambda item: (isinstance(item[0], str), item[0]))
    return [{"id": number, "name": name} for number, name in listed]
