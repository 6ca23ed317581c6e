"""Merging of the shards of a run: the journal and all output formats."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

from ..configs import SegmentationKind, changes
from ..errors import UsageError
from ..formats import WRITERS
from ..formats.outputs import MakeWriter, Outputs
from ..formats.ownership import check_removal, tell_kept, tell_removed
from ..io.address_folder import AT_ONCE as THREADS
from ..io.copies import below
from ..io.find import walk_order
from ..io.output_folder import ImageFiles
from ..io.run_folder import JOURNAL, JOURNAL_FOLDER
from ..io.tars import gone_images
from ..records import Category, ImageRecord
from .all_images import all_records
from .fingerprint import has_same_file
from .inputs import Shard
from .job import Summary, check_categories, in_order
from .journal import (
    Beginning,
    Contents,
    Journal,
    cannot_write,
    read_journal,
    with_results,
)
from .object_journal import has_journal, journal_of, local_journal, open_journal

SHARD, FORMAT, SEGMENTATION = "shard", "format", "segmentation"  # identity keys
AT_ONCE = 1000  # records per write


class Part(NamedTuple):
    """Output of a shard: its folder or URL, and the contents of its journal."""

    folder: Path | str
    shard: Shard
    contents: Contents
    beginning: Beginning

    @property
    def failed(self) -> list[str]:
        """Names of its failed images."""
        return [name for name, entry in self.contents.entries.items() if entry.failure is not None]


def merge_shards(
    folders: Sequence[Path | str],
    output: Path | str,
    info: Mapping[str, Any],
    *,
    writers: Mapping[str, MakeWriter] = WRITERS,
    overwrite: bool = False,
    overwrite_edited: bool = False,
    prune: bool = False,
) -> Summary:
    """Merge the outputs of all shards of a run; images are in folder walk order, files before folders.

    The output equals that of a run without shards, and the same command without `shard` continues it. Mask files are
    hard-linked if possible, else copied. Merging again updates what changed in the shards.

    Args:
        folders, output: paths, or URLs as str.
        info: additional entries of `info`.
        writers: of all formats the shards may have.
        overwrite: discard an earlier merge, and delete the files in its journal.
        overwrite_edited: also replace and delete files edited since.
        prune: allow any number of images to lose their results; see `ownership.check_removal`.

    Raises:
        UsageError: shards are missing, repeated, unfinished, or differ from the first in options or inputs; or the
            output is one of them.
        HqsamError: a journal cannot be read, or the output cannot be written.
    """
    _check_is_no_shard(output, folders)
    parts = _read_parts(folders)
    first = parts[0]
    names = sorted((name for part in parts for name in part.contents.entries), key=walk_order)
    identity = {key: value for key, value in first.contents.identity.items() if key != SHARD}
    categories = first.beginning.categories
    outputs = Outputs(output, writers, identity[FORMAT].split(","), categories)
    place = below(output, JOURNAL if isinstance(output, Path) else JOURNAL_FOLDER)
    if not overwrite and not has_journal(place):
        outputs.check_not_foreign()
    journal = open_journal(place, identity, overwrite=overwrite, info={**first.contents.info, **info})
    kept: list[str] = []

    def files_of(name: str, of_shard: Iterable[str] = ()) -> ImageFiles:
        return ImageFiles(None if overwrite_edited else journal.noted(name), list(of_shard), kept, overwrite)

    try:
        gone = _gone(journal, names)
        check_removal(len(journal.entries), gone, prune=prune)
        others = set(with_results(journal.entries)).difference(names, gone)
        redone = {name for name, entry in journal.entries.items() if entry.identity}
        check_categories(journal.categories, categories, sorted(others | redone))
        categories = in_order(journal.categories, categories)
        known = dict.fromkeys(with_results(journal.entries))
        former = with_results(journal.former)
        left = [_left(part, journal, outputs) for part in parts]
        changed = {name for own in left for name in own}
        same = [name for name in names if name not in changed]
        journal.begin(_beginning(first, journal, same, len(changed), categories))
        tell_removed("images that no longer exist", gone)
        failed = [name for part in parts for name in part.failed if name in changed and name in known]
        tell_removed("images that failed", failed)
        try:
            outputs.begin([*former, *known], categories)
            for name in [*former, *gone, *failed]:
                outputs.remove(name, files_of(name))
            journal.forget(gone)
            merging = _Merging(outputs, {*former, *known}, files_of)
            for part, own in zip(parts, left, strict=True):
                there = Outputs(part.folder, writers, identity[FORMAT].split(","), categories)
                found = part.contents.records(own)
                while records := list(islice(found, AT_ONCE)):
                    journal.append(merging.put_in_place(records, there))
            segmentation = cast(SegmentationKind, identity.get(SEGMENTATION, "rle"))
            files = outputs.close(all_records(journal, names, categories, segmentation), cannot_write)
        except OSError as error:
            raise cannot_write(output, error) from None
        tell_kept(kept)
        summary = Summary(files=files)
        for record in journal.contents.records(names):
            summary.count(record)
        journal.end(summary.outcome)
    finally:
        journal.close()
    return summary


def _check_is_no_shard(output: Path | str, folders: Sequence[Path | str]) -> None:
    """Raise a UsageError if the output is one of the shards."""
    if _real(output) in map(_real, folders):
        raise UsageError("is one of the shards", file=output, remedy="pass another OUT folder")


def _real(folder: Path | str) -> str:
    return os.path.realpath(folder) if isinstance(folder, Path) else folder.rstrip("/")


def _read_parts(folders: Sequence[Path | str]) -> list[Part]:
    """Read all shards of a run, in order."""
    parts: dict[int, Part] = {}
    for folder in folders:
        part = _read_part(folder)
        if (twin := parts.get(part.shard.index)) is not None:
            raise UsageError(
                f"the same shard as {twin.folder} ({part.shard})", file=folder, remedy="pass each shard once"
            )
        parts[part.shard.index] = part
        _check_alike(next(iter(parts.values())), part)
    count = next(iter(parts.values())).shard.count
    if missing := [f"{index}/{count}" for index in range(1, count + 1) if index not in parts]:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise UsageError(f"missing shards: {shown}", remedy="pass the outputs of all shards")
    return [parts[index] for index in sorted(parts)]


def _read_part(folder: Path | str) -> Part:
    contents = read_journal(local_journal(journal_of(folder)), named=str(below(folder, JOURNAL)))
    beginning, shard = contents.last, contents.identity.get(SHARD)
    if beginning is None or shard is None:
        raise UsageError("not the output of a shard", file=folder, remedy="create it with hqsam segment --shard I/N")
    if contents.outcome != "finished":
        raise UsageError("this shard is not finished", file=folder, remedy="run its command again to continue it")
    if len(contents.entries) != (inputs := beginning.images - beginning.others):
        raise UsageError(
            f"has results of {len(contents.entries)} images, but its last command had {inputs} inputs",
            file=folder,
            remedy="run it again with the inputs of the other shards and `overwrite`",
        )
    return Part(folder, Shard.parse(shard), contents, beginning)


def _check_alike(first: Part, part: Part) -> None:
    """Raise a UsageError if two shards belong to different runs."""
    mine, other = ({**p.contents.identity, SHARD: f"of {p.shard.count}"} for p in (part, first))
    if changed := changes(other, mine):
        raise UsageError(
            f"made with other options than {first.folder} ({'; '.join(changed)})",
            file=part.folder,
            remedy="use the same command for all shards",
        )
    if (part.beginning.inputs, part.beginning.categories) != (first.beginning.inputs, first.beginning.categories):
        raise UsageError(
            f"made from other inputs than {first.folder}", file=part.folder, remedy="use the same inputs for all shards"
        )


def _beginning(
    first: Part, journal: Journal, same: Sequence[str], changed: int, categories: list[Category]
) -> Beginning:
    """Start of a merge, for the journal; `same` images are not merged again."""
    done = sum(journal.entries[name].failure is None for name in same)
    return Beginning(
        images=len(same) + changed,
        done=done,
        failed=len(same) - done,
        inputs=first.beginning.inputs,
        categories=categories,
    )


def _left(part: Part, journal: Journal, outputs: Outputs) -> list[str]:
    """Images of a shard that are missing, different or incomplete in the output, except those redone in it."""
    left = []
    for name, entry in part.contents.entries.items():
        there = journal.entries.get(name)
        if there is not None and there.identity and has_same_file(there.fingerprint, entry.fingerprint):
            continue  # made again since, with other options
        if (
            there is None
            or there._replace(offset=entry.offset) != entry
            or (entry.failure is None and not outputs.is_complete(name, entry.results))
        ):
            left.append(name)
    return left


def _gone(journal: Journal, names: Iterable[str]) -> list[str]:
    """Images of an earlier merge that are in no shard and whose files were deleted."""
    ours = set(names)
    others = {name: entry.path for name, entry in journal.entries.items() if name not in ours}
    gone = gone_images(others.values())
    return [name for name, path in others.items() if path in gone]


class _Merging(NamedTuple):
    """The merged output while shards are added to it.

    Attributes:
        known: images that it has results for.
        files_of: files of an image in it, given the shard's digests.
    """

    outputs: Outputs
    known: set[str]
    files_of: Callable[[str, Iterable[str]], ImageFiles]

    def put_in_place(self, records: Sequence[ImageRecord], shard: Outputs) -> list[ImageRecord]:
        """Put image outputs in place, replacing those of an earlier merge, as a run would; returns what to journal."""
        files = [self.files_of(record.file_name, (record.origin.files or "").split()) for record in records]
        pairs = [(record.file_name, own) for record, own in zip(records, files, strict=True) if record.failure is None]

        def put_pictures(pair: tuple[str, ImageFiles]) -> None:
            for whole, part in zip(self.outputs.pictures, shard.pictures, strict=True):
                whole.take(pair[0], part, pair[1])

        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(put_pictures, pairs))
        noted = []
        for record, own in zip(records, files, strict=True):
            if record.failure is None:
                for labels in self.outputs.labels:
                    labels.note(record, own, is_new=record.file_name not in self.known)
            noted.append(replace(record, origin=record.origin._replace(files=" ".join(own.written))))
        return noted
