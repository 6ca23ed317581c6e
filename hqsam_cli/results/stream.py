"""Stream images and annotations from a result file, or from the output folder of a finished or aborted run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from ..batch.object_journal import has_journal, is_finished, journal_contents, journal_of
from ..errors import HqsamError
from ..formats.coco import INSTANCES
from ..formats.coco_file import REMEDY, Kind, kind_of, opened, parsed
from ..formats.ndjson import INSTANCES as LINES
from ..formats.values import identifier
from ..io.copies import LocalCopy, below
from ..io.run_folder import JOURNAL
from ..records import Annotation, Category, CocoImage, Failure, ImageRecord, geo_keys
from .check import CheckedEntries, Size, size_of
from .problems import Problems

RESULTS_SUFFIXES = (".json", ".ndjson", ".jsonl", ".json.gz", ".ndjson.gz", ".jsonl.gz")


@dataclass(frozen=True, slots=True)
class Results:
    """Images, annotations and categories in COCO form. Streams may be opened any number of times.

    Attributes:
        path: path or URL of the file; of several, the first.
        kind: file format; a COCO results list has no images and no categories.
        info: COCO `info`.
        categories: in the order of the file.
        images: with `id`, `file_name`, and optionally `width`, `height` and `error`; a name once.
        annotations: with `id`, except in a results list, and `image_id`, in the order of the file.
        journal: path or URL of the journal of the run, or None.
        problems: of each file, the entries that are left out or changed; more are added when results are written.
        unfinished: a message if they are of a run that has not finished, else "".
    """

    path: Path | str
    kind: Kind
    info: Mapping[str, Any] = field(default_factory=dict)
    categories: list[Category] = field(default_factory=list)
    images: Callable[[], Iterator[CocoImage]] = lambda: iter(())
    annotations: Callable[[], Iterator[Annotation]] = lambda: iter(())
    journal: Path | str | None = None
    problems: tuple[Problems, ...] = ()
    unfinished: str = ""


def open_results(path: Path | str) -> Results:
    """Open the results of a file or of the output folder of a run, given by path, or by URL as a string.

    For a run, the result file is used; if it is missing, or the last command did not finish, the journal. Entries that
    cannot be attributed are left out; see `check`.

    Raises:
        HqsamError: the file cannot be read, or has an unknown format.
    """
    if isinstance(path, Path) and not path.is_dir():
        journal = path.with_name(f"{path.name}.{JOURNAL}")  # of hqsam detect
        return _of_file(LocalCopy(path)) if not journal.is_file() or is_finished(journal) else _of_journal(journal)
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
    if isinstance(path, Path) and len(found := list(path.glob(f"*.{JOURNAL}"))) == 1:
        return open_results(path / found[0].name.removesuffix(f".{JOURNAL}"))
    raise HqsamError(f"has no {INSTANCES}, {LINES} or {JOURNAL}", file=path, remedy=REMEDY)


def _of_file(file: LocalCopy, journal: Path | str | None = None) -> Results:
    kind = kind_of(file)
    if kind == "NDJSON":
        return _of_records(partial(_lines, file), file.name, kind, journal=journal)
    problems = Problems(file.name)
    if kind == "COCO results":
        entries = CheckedEntries(list, partial(parsed, file, "items", "item"), (), problems, is_list=True)
        return Results(file.name, kind, annotations=entries.annotations, journal=journal, problems=(problems,))
    info: Any = next(parsed(file, "items", "info"), {})
    images, annotations, categories = (
        partial(parsed, file, "items", f"{name}.item") for name in ("images", "annotations", "categories")
    )
    entries = CheckedEntries(images, annotations, categories(), problems, is_list=False)
    return Results(
        file.name,
        kind,
        info if isinstance(info, dict) else {},
        entries.categories,
        entries.images,
        entries.annotations,
        journal,
        (problems,),
    )


def _of_journal(place: Path | str) -> Results:
    contents = journal_contents(place)
    last = contents.last

    def records() -> Iterator[ImageRecord]:
        for record in contents.records():
            for annotation in record.annotations:
                annotation.pop("polygons", None)  # stored next to the mask
            yield record

    unfinished = ""
    if last is not None and contents.outcome != "finished":
        unfinished = f"{place}: the run has not finished: {last.done + contents.done} of {last.images} images are done"
    return _of_records(
        records,
        place,
        "journal",
        info=contents.info,
        categories=[] if last is None else last.categories,
        journal=place,
        unfinished=unfinished,
    )


def _of_records(
    records: Callable[[], Iterator[ImageRecord]],
    path: Path | str,
    kind: Kind,
    *,
    categories: Iterable[Category] = (),
    **more: Any,
) -> Results:
    """Results with the images and annotations of records; `more` are attributes of `Results`."""

    def images() -> Iterator[CocoImage]:
        return (record.to_coco() for record in records())

    def annotations() -> Iterator[Any]:
        for record in records():
            for own in record.annotations:
                yield {**own, "image_id": record.image_id} if isinstance(own, dict) else own

    problems = Problems(path)
    entries = CheckedEntries(images, annotations, categories, problems, is_list=False)
    return Results(
        path,
        kind,
        categories=entries.categories,
        images=entries.images,
        annotations=entries.annotations,
        problems=(problems,),
        **more,
    )


def _lines(source: LocalCopy) -> Iterator[ImageRecord]:
    """Yield the records of NDJSON.

    An image has the id of its first line, or else the line number; a free one if another image has it, as in
    concatenated files. Lines with equal names are one image, unless they differ in size.
    """
    ids: dict[str, dict[Size, Any]] = {}
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
            if not isinstance(annotations, list):
                raise HqsamError(f"line {number} has invalid annotations", file=source.name, remedy="fix the file")
            name, size, error = given["file_name"], size_of(given), given.get("error")
            own = ids.setdefault(name, {})
            if size not in own and own and (size is None or set(own) == {None}):
                own[size] = next(iter(own.values()))
            elif size not in own:
                image_id: Any = identifier(given.get("image_id"))
                image_id = number if image_id is None else image_id
                while image_id in taken:
                    image_id, free = free, free + 1
                own[size] = image_id
                taken.add(image_id)
            failure = None if error is None else Failure("", str(error))
            yield ImageRecord(name, own[size], size, annotations, failure, geo=geo_keys(given))
