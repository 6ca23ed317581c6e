"""From image files to results: remaining images are passed to an engine, and its outcomes are recorded and reported.

A `Worker` processes an image, an `Engine` decides where and when; only this module writes the journal.

Images that are not done are processed in batches of `batch_size`. An image is done as long as its pixels and prompts
are unchanged and its outputs exist. Unchanged images that failed are skipped unless `retry_failed`. On a CPU the
results of an image do not depend on its batch; on a GPU they may in the last bits of a float. Deleted images are
removed from the results, with their outputs.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import HqsamError, ReaderGoneError
from ..formats.annotations import json_line, shown
from ..formats.ownership import ImageFiles, tell_kept, tell_removed
from ..formats.run_records import ImageResult, RunRecords
from ..formats.uploads import AnyWriter, writer_to
from ..formats.values import some_of
from ..io.find import SourceImage
from ..progress import Progress
from .fingerprint import is_unknown
from .interrupt import Interrupt
from .job import Job, Summary
from .journal import Beginning, Entry, Journal, cannot_write, with_results
from .object_journal import open_journal
from .plan import Plan, check_not_foreign, make_plan, make_writers
from .shard import inputs_digest
from .steps import Step
from .work import Asked, Engine, Outcome, Worker


def run_images(job: Job, engine: Engine, progress: Progress) -> Summary:
    """Run the job until it ends, is interrupted, or fails.

    Args:
        engine: processes the images; see `make_worker`.

    Raises:
        HqsamError: outputs cannot be written, or are of another run.
    """
    began = time.monotonic()
    if job.output is not None and job.journal is not None and not job.overwrite:
        check_not_foreign(job.journal, make_writers(job, RunRecords(lambda: (), [])))
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
    """The worker for the images of a job, in this or another process.

    Args:
        step: segmentation or detection.
    """
    writers = make_writers(job, RunRecords(lambda: (), job.categories)) if job.output is not None else []
    own = [writer for writer in writers if writer.fills_folder]
    return Worker(step, own, exif=job.exif, max_pixels=job.max_pixels, output=job.output, on_result=job.on_result)


def _all_writers(job: Job, run: RunRecords) -> list[AnyWriter]:
    """Writers of all formats, in a folder; none at a URL."""
    output = job.output
    return [writer_to(output, make, run) for make in job.writers.values()] if isinstance(output, Path) else []


def remove_outputs(file_name: str, files: ImageFiles, writers: Sequence[AnyWriter]) -> None:
    """Delete the outputs of an image; edited files are kept."""
    for writer in writers:
        with suppress(OSError):  # not deletable, so never written
            writer.remove(file_name, files)


def _in_order(before: Sequence[Mapping[str, Any]], now: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Categories in the order of the last command, whose labels use it, and then new ones."""
    own = {category["id"]: category for category in now}
    old = {category["id"]: dict(category) for category in before}
    return list({**old, **own}.values())


def _make_folder(folder: Path) -> None:
    """Create an output folder, so that errors are not attributed to an image."""
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
    """The state of a run."""

    def __init__(
        self, job: Job, engine: Engine, progress: Progress, journal: Journal | None, interrupt: Interrupt
    ) -> None:
        self.job, self.engine, self.progress, self.journal, self.interrupt = job, engine, progress, journal, interrupt
        self.summary = Summary()
        self.names = [image.file_name for image in job.images]
        self.left = 0  # images not processed yet
        self.known: set[str] = set()  # images that had results before
        self.kept: list[str] = []  # files edited by hand
        self.bare: list[str] = []  # failed images that lose earlier results
        self.paths: dict[str, str] = {}  # of images about to be recorded
        self.categories = job.categories
        self.writers: list[AnyWriter] = []
        self.chosen: list[AnyWriter] = []
        if job.output is not None and journal is not None:
            if job.overwrite:
                self._remove_former(journal.former)
            self.known = set(with_results(journal.entries))
            self.categories = _in_order(journal.categories, job.categories)
            run = RunRecords(
                lambda: journal.records(self.names),
                self.categories,
                journal.info,
                job.segmentation,
                lambda name: self.paths.get(name) or journal.entries[name].path,
                self.known.__contains__,
                self._noted,
                lambda: with_results(journal.entries),
            )
            self.chosen = make_writers(job, run)
            # Other formats may have files of an earlier run to delete. At a URL this would need a request each.
            self.writers = _all_writers(job, run) or self.chosen

    def _noted(self, file_name: str) -> Collection[str] | None:
        """Digests of what earlier runs wrote for an image; None if any file may be replaced."""
        return None if self.journal is None or self.job.overwrite_edited else self.journal.noted(file_name)

    def _remove(self, names: Iterable[str], writers: Sequence[AnyWriter], written: Iterable[str] = ()) -> None:
        """Delete the outputs of images; `written` are digests of files that this run just wrote."""
        for name in names:
            noted = self._noted(name)
            files = ImageFiles(None if noted is None else {*noted, *written}, foreign_too=self.job.overwrite)
            remove_outputs(name, files, writers)
            self.kept += files.kept

    def _remove_former(self, former: Mapping[str, Entry]) -> None:
        """Delete the outputs of the images of a run that starts over, and of its earlier images."""
        names = dict.fromkeys([*with_results(former), *self.names])
        run = RunRecords(lambda: (), self.categories, noted=self._noted, names=lambda: names)
        # At a URL, pictures would need a request each; labels are listed, and would be kept as edited files.
        labels = (own for own in make_writers(self.job, run) if not own.fills_folder)
        self._remove(names, _all_writers(self.job, run) or [*labels])

    def through_all_groups(self) -> Summary:
        """Process the remaining images, record them, and write the files about all images."""
        plan = make_plan(self.job, {} if self.journal is None else self.journal.entries, self.chosen)
        plan.check_removal(prune=self.job.prune)
        for writer in self.chosen:
            if writer.fills_folder and isinstance(writer.path, Path):
                _make_folder(writer.path)
        groups = self._groups_to_do(plan)
        self._begin(plan)
        try:
            with closing(self.engine.outcomes(groups, self._is_stopped)) as made:
                for outcomes in made:
                    self._commit(outcomes)
        finally:
            tell_removed("images that failed", self.bare)
            tell_kept(self.kept)
        self.summary.interrupted = self.interrupt.wanted and self.left > 0
        self.summary.stopped = self._too_many_failed()
        if self.summary.outcome == "finished":
            for writer in self.chosen:
                self._close(writer)
        return self.summary

    def _groups_to_do(self, plan: Plan) -> Iterator[list[Asked]]:
        """Batches of the images that are not done."""
        entries, summary = {} if self.journal is None else self.journal.entries, self.summary
        summary.already_done, summary.failed_before = len(plan.done), len(plan.failed)
        summary.lost += sum(entries[name].lost for name in [*plan.done, *plan.failed])
        self.left = len(plan.left)
        starts = range(0, len(plan.left), self.job.batch_size)
        return ([self._asked(image) for image in plan.left[start : start + self.job.batch_size]] for start in starts)

    def _asked(self, source: SourceImage) -> Asked:
        name = source.file_name
        return Asked(source, self.job.prompts.for_image(name), self._noted(name))

    def _begin(self, plan: Plan) -> None:
        """Report the work to do, also in the journal, for `hqsam status`."""
        job, summary = self.job, self.summary
        tell_removed("images that no longer exist", plan.gone)
        tell_removed("images that no longer have prompts", plan.emptied)
        if plan.unmentioned:
            names = plan.unmentioned
            self.progress.on_problem(
                f"images that no prompt file mentions, results kept: {len(names)} ({some_of(names)})"
            )
        if self.journal is not None and plan.gone:
            self._remove(plan.gone, self.writers)
            self.journal.forget(plan.gone)
        if self.journal is not None:
            self.journal.touch(plan.touched)
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
            self.progress.on_problem(
                f"{count} unchanged images failed in an earlier run, not retried; pass `retry_failed` to retry"
            )

    def _is_stopped(self) -> bool:
        return self.interrupt.wanted or self._too_many_failed()

    def _too_many_failed(self) -> bool:
        return self.job.max_errors is not None and len(self.summary.failed) > self.job.max_errors

    def _close(self, writer: AnyWriter) -> None:
        try:
            writer.close()
        except OSError as error:
            raise cannot_write(writer.path, error) from None
        self.summary.files.append(writer.path)

    def _commit(self, outcomes: list[Outcome]) -> None:
        """Record images whose outputs are written, or print their lines; failed images lose earlier outputs."""
        noted = []
        self.paths = {outcome.record["file_name"]: outcome.origin.path for outcome in outcomes}
        for outcome in outcomes:
            record, files = outcome.record, outcome.files
            name = record["file_name"]
            if record["error"] is not None:
                if name in self.known and is_unknown(outcome.origin.fingerprint, outcome.origin.path):
                    continue
                # A killed run may have left pictures of an image without results; labels were not written by it.
                left = self.writers if name in self.known else [own for own in self.chosen if own.fills_folder]
                self._remove([name], left, files.written)
                files.written.clear()
                self.bare += [name] if name in self.known else []
            else:
                size = record["width"], record["height"]
                for writer in self.chosen:
                    if not writer.fills_folder:
                        writer.write(ImageResult(name, size, [], record["annotations"], files=files))
                self.kept += files.kept
            noted.append((outcome.origin._replace(files=" ".join(files.written)), record))
        if self.journal is not None:
            self.journal.append(noted)
        elif self.job.stream is not None:
            _print_lines(self.job.stream, [shown(record, self.job.segmentation) for _, record in noted])
        self.left -= len(outcomes)
        for outcome in outcomes:
            self._tell(outcome)

    def _tell(self, outcome: Outcome) -> None:
        """Count an image, and report it."""
        for problem in outcome.problems:
            self.progress.on_problem(problem)
        self.summary.lost += len(outcome.problems)
        self.summary.count(outcome.record)
        self.progress.on_record(outcome.record)
