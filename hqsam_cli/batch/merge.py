"""The shards of a run joined into what one run would have made: its journal, and with it every format."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

from ..configs import JOURNAL, SegmentationKind, changes
from ..errors import UsageError
from ..formats import WRITERS, MakeWriter
from ..formats.run_records import RunRecords
from ..io.find import walk_order
from .job import Summary
from .journal import Beginning, Contents, Journal, Origin, cannot_write, read_journal, read_records
from .pipeline import check_not_foreign
from .shard import Shard

SHARD, FORMAT, SEGMENTATION = "shard", "format", "segmentation"  # in an identity
AT_ONCE = 1000  # records that are noted together
NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS)


class Part(NamedTuple):
    """A shard's output folder, and what its journal says."""

    folder: Path
    shard: Shard
    contents: Contents
    beginning: Beginning


def merge_shards(
    folders: Sequence[Path],
    output: Path,
    info: Mapping[str, Any],
    *,
    writers: Mapping[str, MakeWriter] = WRITERS,
    overwrite: bool = False,
) -> Summary:
    """Join the outputs of all shards of a run; images come in the order of a folder's, files before folders.

    The output is that of a run without shards: the same command without `shard` continues it. Files of masks are hard
    links where the disk has them, else copies.

    Args:
        info: more of what made the results, for those who read them.
        writers: of all formats that the shards may have.

    Raises:
        UsageError: shards are missing, given twice, unfinished, or of other options or inputs than the first; or the
            output is one of them.
        HqsamError: a journal cannot be read, or the output cannot be written.
    """
    _check_is_no_shard(output, folders)
    parts = _read_parts(folders)
    first = parts[0]
    names = sorted((name for part in parts for name in part.contents.entries), key=walk_order)
    identity = {key: value for key, value in first.contents.identity.items() if key != SHARD}
    formats = [make for name, make in writers.items() if name in identity[FORMAT].split(",")]
    if not overwrite:
        check_not_foreign(output / JOURNAL, [make(output, RunRecords(lambda: (), [])) for make in formats])
    journal = Journal(output / JOURNAL, identity, overwrite=overwrite, info={**first.contents.info, **info})
    try:
        run = RunRecords(
            lambda: journal.records(names),
            first.beginning.categories,
            journal.info,
            cast(SegmentationKind, identity.get(SEGMENTATION, "rle")),
            lambda name: journal.entries[name].path,
        )
        chosen = [make(output, run) for make in formats]
        there = len(journal.entries)
        journal.begin(
            Beginning(
                images=len(names),
                done=there,
                inputs=first.beginning.inputs,
                categories=first.beginning.categories,
            )
        )
        try:
            for writer in chosen:
                if writer.fills_folder:
                    for part in parts:
                        _link_tree(part.folder / writer.path.relative_to(output), writer.path)
            for records in _missing_records(parts, journal):
                journal.append(records)
            for writer in chosen:
                writer.close()
        except OSError as error:
            raise cannot_write(output, error) from None
        summary = Summary(files=[writer.path for writer in chosen])
        for record in journal.records(names):
            summary.count(record)
        journal.end(summary.outcome)
    finally:
        journal.close()
    return summary


def _check_is_no_shard(output: Path, folders: Sequence[Path]) -> None:
    """Raise where the whole would be written over a part of it."""
    if os.path.realpath(output) in map(os.path.realpath, folders):
        raise UsageError("is one of the shards", file=output, remedy="give another folder for the whole, OUT")


def _read_parts(folders: Sequence[Path]) -> list[Part]:
    """All shards of a run, in their order."""
    parts: dict[int, Part] = {}
    for folder in folders:
        part = _read_part(folder)
        if (twin := parts.get(part.shard.index)) is not None:
            raise UsageError(f"shard {part.shard}, as {twin.folder} is", file=folder, remedy="give each shard once")
        parts[part.shard.index] = part
        _check_alike(next(iter(parts.values())), part)
    count = next(iter(parts.values())).shard.count
    if missing := [f"{index}/{count}" for index in range(1, count + 1) if index not in parts]:
        shown = ", ".join(missing[:5]) + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise UsageError(f"of the shards {shown} is missing", remedy="give the outputs of all shards")
    return [parts[index] for index in sorted(parts)]


def _read_part(folder: Path) -> Part:
    contents = read_journal(folder / JOURNAL)
    beginning, shard = contents.last, contents.identity.get(SHARD)
    if beginning is None or shard is None:
        raise UsageError("not the output of a shard", file=folder, remedy="make it by segment --shard I/N")
    if contents.outcome != "finished":
        raise UsageError("this shard is not finished", file=folder, remedy="its command, given again, continues it")
    if len(contents.entries) != beginning.images:
        raise UsageError(
            f"it has results of {len(contents.entries)} images, and its last command was about {beginning.images}",
            file=folder,
            remedy="make it of the same inputs as the other shards, with `overwrite`",
        )
    return Part(folder, Shard.parse(shard), contents, beginning)


def _check_alike(first: Part, part: Part) -> None:
    """Raise where two shards are not of one run."""
    mine, other = ({**p.contents.identity, SHARD: f"of {p.shard.count}"} for p in (part, first))
    if changed := changes(other, mine):
        raise UsageError(
            f"made otherwise than {first.folder} ({'; '.join(changed)})",
            file=part.folder,
            remedy="make all shards by one command",
        )
    if (part.beginning.inputs, part.beginning.categories) != (first.beginning.inputs, first.beginning.categories):
        raise UsageError(
            f"made of other inputs than {first.folder}", file=part.folder, remedy="make all shards of the same inputs"
        )


def _missing_records(parts: Sequence[Part], journal: Journal) -> Iterator[list[tuple[Origin, dict[str, Any]]]]:
    """Records of the shards that the merged journal does not have, some at a time."""
    for part in parts:
        entries = part.contents.entries
        found = read_records(part.folder / JOURNAL, entries, [name for name in entries if name not in journal.entries])
        while group := list(islice(found, AT_ONCE)):
            yield group


def _link_tree(source: Path, target: Path) -> None:
    """Every file below a folder, at the same place below another."""
    target.mkdir(parents=True, exist_ok=True)
    for folder, _, files in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        for name in files:
            new = place / name
            new.unlink(missing_ok=True)
            try:
                os.link(Path(folder, name), new, follow_symlinks=False)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                shutil.copy2(Path(folder, name), new, follow_symlinks=False)
