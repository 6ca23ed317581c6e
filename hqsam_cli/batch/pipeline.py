"""From image files to results: what is left is given to an engine, and what it made is noted and told.

What becomes of an image is up to a `Worker`, where and when to an `Engine`; the journal is written here alone.

Images that are not done go through in groups of `batch_size`. An image is done while its pixels and its prompts are
what they were and its outputs are in place: a photo that was replaced, another of the same name, and one whose masks
somebody took away are done anew. One that failed and is what it was would fail again, so it is left unless somebody
asks for it. On a CPU an image's bytes do not depend on the group it is in; on a GPU the last bits of a float may.
Images whose files are gone leave the results, and their outputs go.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ..errors import HqsamError, ReaderGoneError, UsageError
from ..formats.annotations import json_line, shown
from ..formats.run_records import ImageResult, RunRecords
from ..formats.uploads import AnyWriter, writer_to
from ..io.find import SourceImage
from ..io.places import absolute_path
from ..io.tars import is_image_gone
from ..progress import Progress
from .fingerprint import is_unchanged, is_unreadable
from .interrupt import Interrupt
from .job import Job, Summary
from .journal import Beginning, Entry, Journal, cannot_write, with_results
from .object_journal import has_journal, journal_contents, open_journal
from .shard import inputs_digest
from .steps import Step
from .work import Asked, Engine, Outcome, Worker

Standing = Literal["done", "failed", "left"]


def run_images(job: Job, engine: Engine, progress: Progress) -> Summary:
    """Run the job to its end, to an interrupt, or to a fatal error.

    Args:
        engine: what works on the images; see `make_worker`.

    Raises:
        HqsamError: outputs cannot be written, or are of another run.
    """
    began = time.monotonic()
    if job.output is not None:
        _check_not_foreign(job, _make_writers(job, RunRecords(lambda: (), [])))
    journal = None
    if job.journal is not None:
        journal = open_journal(job.journal, job.remembered, overwrite=job.overwrite, info=job.info)
    try:
        with Interrupt() as interrupt:
            summary = _Run(job, engine, progress, journal, interrupt).through_all_groups()
        if journal is not None:
            journal.end(summary.outcome)
    finally:
        if journal is not None:
            journal.close()
    summary.seconds = time.monotonic() - began
    return summary


def make_worker(job: Job, step: Step[Any]) -> Worker:
    """What works on the images of a job, in this process or another one.

    Args:
        step: what is done with them.
    """
    writers = _make_writers(job, RunRecords(lambda: (), job.categories)) if job.output is not None else []
    own = [writer for writer in writers if writer.fills_folder]
    return Worker(step, own, exif=job.exif, max_pixels=job.max_pixels, output=job.output)


def count_done(job: Job) -> int:
    """How many images a run of the job would find done; what it would refuse is refused, before any model is loaded.

    Raises:
        UsageError: outputs are of another run, or of somebody else.
        HqsamError: there is a journal that is none.
    """
    if job.journal is None or job.output is None or job.overwrite:
        return 0
    writers = _make_writers(job, RunRecords(lambda: (), []))
    _check_not_foreign(job, writers)
    entries = journal_contents(job.journal, job.remembered).entries
    return sum(_standing(image, job, entries, writers) == "done" for image in job.images)


def _make_writers(job: Job, run: RunRecords) -> list[AnyWriter]:
    assert job.output is not None
    return [writer_to(job.output, make, run) for name, make in job.writers.items() if name in job.formats]


def _check_not_foreign(job: Job, writers: list[AnyWriter]) -> None:
    if job.journal is not None and not job.overwrite:
        check_not_foreign(job.journal, writers)


def check_not_foreign(journal: Path | str, writers: Sequence[AnyWriter]) -> None:
    """Raise where files that no run wrote would be replaced."""
    if has_journal(journal):
        return
    for writer in writers:
        if (path := writer.foreign()) is not None:
            raise UsageError(
                "is there, and no run of this tool wrote it",
                file=path,
                remedy="pass `overwrite` to replace it, or choose another `output`",
            )


def _all_writers(job: Job, run: RunRecords) -> list[AnyWriter]:
    """Of all formats, in a folder; none at an address."""
    output = job.output
    return [writer_to(output, make, run) for make in job.writers.values()] if isinstance(output, Path) else []


def remove_outputs(names: Iterable[str], writers: Sequence[AnyWriter]) -> None:
    """Take away what images have; files that no run wrote stay."""
    for name in names:
        for writer in writers:
            with suppress(OSError):  # where nothing can be removed, nothing was written
                writer.remove(name)


def _remove_former(job: Job, former: Sequence[str]) -> None:
    """Take away what is there of the images of a run that begins again, and of those that it had before."""
    names = dict.fromkeys([*former, *(image.file_name for image in job.images)])
    remove_outputs(names, _all_writers(job, RunRecords(lambda: (), job.categories, names=lambda: names)))


def _in_order(before: Sequence[Mapping[str, Any]], now: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Categories in the order of the last command, whose labels count them, and then those that are new."""
    own = {category["id"]: category for category in now}
    old = {category["id"]: dict(category) for category in before}
    return list({**old, **own}.values())


def _standing(source: SourceImage, job: Job, entries: Mapping[str, Entry], writers: list[AnyWriter]) -> Standing:
    """What an earlier run means for an image; it means nothing if pixels or prompts are others now."""
    entry = entries.get(source.file_name)
    if entry is None or not is_unchanged(entry.fingerprint, source, job.prompts.for_image(source.file_name)):
        return "left"
    if entry.error is not None:
        return "failed"
    in_place = all(writer.is_complete(source.file_name, entry.results) for writer in writers)
    return "done" if in_place else "left"


def _make_folder(folder: Path) -> None:
    """Make a folder of outputs, so that what is wrong with it is no image's fault."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from None


def _print_lines(stream: BinaryIO, records: list[dict[str, Any]]) -> None:
    try:
        stream.write(b"".join(map(json_line, records)))
        stream.flush()
    except BrokenPipeError:
        raise ReaderGoneError() from None
    except OSError as error:
        raise HqsamError(
            f"the results cannot be written ({error.strerror})", remedy="choose another `output`"
        ) from None


class _Run:
    """One run: what is left of a job, and what became of it."""

    def __init__(
        self, job: Job, engine: Engine, progress: Progress, journal: Journal | None, interrupt: Interrupt
    ) -> None:
        self.job, self.engine, self.progress, self.journal, self.interrupt = job, engine, progress, journal, interrupt
        self.summary = Summary()
        self.names = [image.file_name for image in job.images]
        self.left = 0  # images that nobody has worked on yet
        self.known: set[str] = set()  # images that had results before
        self.categories = job.categories
        self.writers: list[AnyWriter] = []
        self.chosen: list[AnyWriter] = []
        if job.output is not None and journal is not None:
            if job.overwrite:
                _remove_former(job, journal.former)
            self.known = set(with_results(journal.entries))
            self.categories = _in_order(journal.categories, job.categories)
            run = RunRecords(
                lambda: journal.records(self.names),
                self.categories,
                journal.info,
                job.segmentation,
                lambda name: journal.entries[name].path,
                self.known.__contains__,
                lambda: with_results(journal.entries),
            )
            self.chosen = _make_writers(job, run)
            # Those of the formats that are not asked for may have files of an earlier run to take away. At an address
            # they would have to be asked for each.
            self.writers = _all_writers(job, run) or self.chosen
        for writer in self.chosen:
            if writer.fills_folder and isinstance(writer.path, Path):
                _make_folder(writer.path)

    def through_all_groups(self) -> Summary:
        """Have all that is left worked on, note it, and write what is about all images together."""
        groups = self._groups_to_do()
        self._begin()
        with closing(self.engine.outcomes(groups, self._is_stopped)) as made:
            for outcomes in made:
                self._commit(outcomes)
        self.summary.interrupted = self.interrupt.wanted and self.left > 0
        self.summary.stopped = self._too_many_failed()
        if self.summary.outcome == "finished":
            for writer in self.chosen:
                self._close(writer)
        return self.summary

    def _groups_to_do(self) -> Iterator[list[Asked]]:
        """Groups of the images that are not done."""
        job, entries, summary = self.job, {} if self.journal is None else self.journal.entries, self.summary
        images = []
        for image in job.images:
            standing = _standing(image, job, entries, self.chosen)
            if standing == "done":
                summary.already_done += 1
            elif standing == "failed" and not job.retry_failed:
                summary.failed_before += 1
            else:
                images.append(image)
        self.left = len(images)
        left = {image.file_name for image in images}
        summary.lost += sum(entries[name].lost for name in self.names if name not in left)
        starts = range(0, len(images), job.batch_size)
        return ([self._asked(image) for image in images[start : start + job.batch_size]] for start in starts)

    def _asked(self, source: SourceImage) -> Asked:
        return Asked(source, self.job.prompts.for_image(source.file_name))

    def _begin(self) -> None:
        """Say how much there is to do, and in the journal, for those who ask how far it is."""
        job, summary = self.job, self.summary
        self._remove_gone()
        if self.journal is not None:
            self.journal.begin(
                Beginning(
                    images=len(job.images),
                    done=summary.already_done,
                    failed=summary.failed_before,
                    inputs=job.inputs or inputs_digest(job.images),
                    categories=self.categories,
                )
            )
        self.progress.on_start(len(job.images), summary.already_done)
        if summary.failed_before:
            count = summary.failed_before
            self.progress.on_problem(f"{count} failed before and are what they were: `retry_failed` tries them again")

    def _is_stopped(self) -> bool:
        return self.interrupt.wanted or self._too_many_failed()

    def _too_many_failed(self) -> bool:
        return self.job.max_errors is not None and len(self.summary.failed) > self.job.max_errors

    def _remove_gone(self) -> None:
        """Take away the outputs of images of earlier runs whose files are not there any more."""
        if self.journal is None:
            return
        names = set(self.names)
        others = [(name, entry.path) for name, entry in self.journal.entries.items() if name not in names]
        if not others:
            return
        stored = {image.absolute: image.stored.holder for image in self.job.images if image.stored is not None}
        tars = set(map(absolute_path, set(stored.values())))
        # An image of a tar may have another name now.
        gone = [name for name, path in others if path not in stored and is_image_gone(path, tars)]
        remove_outputs(gone, self.writers)
        if gone:
            self.journal.forget(gone)

    def _close(self, writer: AnyWriter) -> None:
        try:
            writer.close()
        except OSError as error:
            raise cannot_write(writer.path, error) from None
        self.summary.files.append(writer.path)

    def _commit(self, outcomes: list[Outcome]) -> None:
        """Journal images whose outputs are in place, or print their lines; one that is broken keeps no earlier outputs.

        One that cannot be read now, from a server that is down or refuses, keeps them, and what the journal says of it.
        """
        told = outcomes
        outcomes = [outcome for outcome in told if not self._keeps_results(outcome)]
        records = [outcome.record for outcome in outcomes]
        for record in records:
            name = record["file_name"]
            if record["error"] is not None:
                # Of an image that had no results, a run that was killed may have left some; labels are somebody else's.
                left = self.writers if name in self.known else [own for own in self.chosen if own.fills_folder]
                remove_outputs([name], left)
                continue
            size = record["width"], record["height"]
            for writer in self.chosen:
                if not writer.fills_folder:
                    writer.write(ImageResult(name, size, [], record["annotations"]))
        if self.journal is not None:
            self.journal.append((outcome.origin, outcome.record) for outcome in outcomes)
        elif self.job.stream is not None:
            _print_lines(self.job.stream, [shown(record, self.job.segmentation) for record in records])
        self.left -= len(told)
        for outcome in told:
            self._tell(outcome)

    def _keeps_results(self, outcome: Outcome) -> bool:
        """Whether an image has results of an earlier run, and nobody knows whether they are still right."""
        name, origin = outcome.record["file_name"], outcome.origin
        unread = outcome.record["error"] is not None and is_unreadable(origin.fingerprint)
        return unread and name in self.known and not is_image_gone(origin.path)

    def _tell(self, outcome: Outcome) -> None:
        """Count an image, and say what there is to say of it."""
        for problem in outcome.problems:
            self.progress.on_problem(problem)
        self.summary.lost += len(outcome.problems)
        self.summary.count(outcome.record)
        self.progress.on_record(outcome.record)
