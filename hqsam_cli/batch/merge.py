"""The shards of a run joined into what one run would have made: its journal, and with it every format."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, cast

from ..configs import JOURNAL, SegmentationKind, changes
from ..errors import UsageError
from ..formats import WRITERS, MakeWriter
from ..formats.ownership import ImageFiles, check_removal, tell_kept, tell_removed
from ..formats.png import MASK_NAME
from ..formats.run_records import ImageResult, RunRecords, Writer
from ..io.find import walk_order
from ..io.tars import is_image_gone
from .job import Summary
from .journal import (
    Beginning,
    Contents,
    Journal,
    Origin,
    cannot_write,
    read_journal,
    read_records,
    with_results,
)
from .pipeline import remove_outputs
from .plan import check_not_foreign
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

    @property
    def failed(self) -> list[str]:
        """The images of it that failed."""
        return [name for name, entry in self.contents.entries.items() if entry.error is not None]


def merge_shards(
    folders: Sequence[Path],
    output: Path,
    info: Mapping[str, Any],
    *,
    writers: Mapping[str, MakeWriter] = WRITERS,
    overwrite: bool = False,
    overwrite_edited: bool = False,
    prune: bool = False,
) -> Summary:
    """Join the outputs of all shards of a run; images come in the order of a folder's, files before folders.

    The output is that of a run without shards: the same command without `shard` continues it. Files of masks are hard
    links where the disk has them, else copies. Merged again, it has what changed in the shards since.

    Args:
        info: more of what made the results, for those who read them.
        writers: of all formats that the shards may have.
        overwrite: forget an earlier merge, and take away what its journal says was written.
        overwrite_edited: files that somebody edited since are replaced and removed like others.
        prune: any number of images may leave at once; see `ownership.check_removal`.

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
    formats = {name: make for name, make in writers.items() if name in identity[FORMAT].split(",")}
    if not overwrite:
        check_not_foreign(output / JOURNAL, [make(output, RunRecords(lambda: (), [])) for make in formats.values()])
    journal = Journal(output / JOURNAL, identity, overwrite=overwrite, info={**first.contents.info, **info})
    kept: list[str] = []
    paths: dict[str, str] = {}  # of images that are about to be noted

    def files_of(name: str, of_shard: Iterable[str] = ()) -> ImageFiles:
        noted = None if overwrite_edited else journal.noted(name)
        return ImageFiles(None if noted is None else {*noted, *of_shard}, kept=kept, foreign_too=overwrite)

    try:
        gone = _gone(journal, names)
        check_removal(len(journal.entries), gone, prune=prune)
        known = set(with_results(journal.entries))
        run = RunRecords(
            lambda: journal.records(names),
            first.beginning.categories,
            journal.info,
            cast(SegmentationKind, identity.get(SEGMENTATION, "rle")),
            lambda name: paths.get(name) or journal.entries[name].path,
            lambda name: overwrite or name in known,
        )
        chosen = [make(output, run) for make in formats.values()]
        left = [_left(part, journal, chosen) for part in parts]
        changed = {name for own in left for name in own}
        journal.begin(_beginning(first, journal, [name for name in names if name not in changed], len(changed)))
        tell_removed("images that are gone", gone)
        failed = [name for part in parts for name in part.failed if name in known and name in changed]
        tell_removed("images that failed", failed)
        stale = [*with_results(journal.former), *gone, *failed]
        of_stale = RunRecords(lambda: (), [], names=lambda: stale)
        stale_writers = [make(output, of_stale) for make in writers.values()]
        for name in stale:
            remove_outputs(name, files_of(name), stale_writers)
        journal.forget(gone)
        try:
            for writer in chosen:
                if writer.fills_folder:
                    writer.path.mkdir(parents=True, exist_ok=True)
            for part, own in zip(parts, left, strict=True):
                for records in _records(part, own):
                    paths = {record["file_name"]: origin.path for origin, record in records}
                    noted = []
                    for origin, record in records:
                        of_shard = (origin.files or "").split()
                        files = files_of(record["file_name"], of_shard)
                        _put_in_place(record, part.folder, output, chosen, files)
                        noted.append((origin._replace(files=" ".join([*of_shard, *files.written])), record))
                    journal.append(noted)
            for writer in chosen:
                writer.close()
        except OSError as error:
            raise cannot_write(output, error) from None
        tell_kept(kept)
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


def _beginning(first: Part, journal: Journal, same: Sequence[str], changed: int) -> Beginning:
    """What the journal says of a merge that leaves some images as they are."""
    done = sum(journal.entries[name].error is None for name in same)
    return Beginning(
        images=len(same) + changed,
        done=done,
        failed=len(same) - done,
        inputs=first.beginning.inputs,
        categories=first.beginning.categories,
    )


def _left(part: Part, journal: Journal, writers: Sequence[Writer]) -> list[str]:
    """The images of a shard that the output does not have, or has otherwise, or not all of."""
    left = []
    for name, entry in part.contents.entries.items():
        there = journal.entries.get(name)
        if (
            there is None
            or there._replace(offset=entry.offset) != entry
            or (entry.error is None and not all(writer.is_complete(name, entry.results) for writer in writers))
        ):
            left.append(name)
    return left


def _gone(journal: Journal, names: Iterable[str]) -> list[str]:
    """The images of an earlier merge that no shard has any more, and whose files are gone."""
    ours = set(names)
    return [name for name, entry in journal.entries.items() if name not in ours and is_image_gone(entry.path)]


def _records(part: Part, names: Sequence[str]) -> Iterator[list[tuple[Origin, dict[str, Any]]]]:
    """Records that a shard has of images, some at a time."""
    found = read_records(part.folder / JOURNAL, part.contents.entries, names)
    while group := list(islice(found, AT_ONCE)):
        yield group


def _put_in_place(
    record: dict[str, Any], folder: Path, output: Path, writers: Sequence[Writer], files: ImageFiles
) -> None:
    """Put the outputs of an image in place, and take away those of an earlier merge, as a run would."""
    if record["error"] is not None:
        return
    name = record["file_name"]
    for writer in writers:
        if not writer.fills_folder:
            writer.write(ImageResult(name, (record["width"], record["height"]), [], record["annotations"], files=files))
            continue
        writer.remove(name, files)
        source = folder / writer.path.relative_to(output)
        for file in _files_of(source / name, writer.suffix):
            _link(file, writer.path / file.relative_to(source))


def _files_of(place: Path, suffix: str | None) -> list[Path]:
    """The files that an image has in a format; see `Writer.suffix`."""
    if suffix is None:
        return [file for file in place.glob("*.png") if MASK_NAME.fullmatch(file.name)]
    return [file for file in (place.with_name(f"{place.name}{suffix}"),) if file.is_file()]


def _link(source: Path, target: Path) -> None:
    """The same file at another place, or a copy of it; somebody's file that is there stays."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copy2(source, target, follow_symlinks=False)
