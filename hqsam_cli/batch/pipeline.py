"""From image files to results: remaining images are passed to an engine, and its outcomes are recorded and reported.

A `Worker` processes an image, an `Engine` decides where and when; only this module writes the journal.

Remaining images are processed in batches of `batch_size`. An image is done while its pixels and prompts are unchanged
and its outputs exist. Unchanged images that failed are skipped unless `retry_failed`. On a CPU the results of an image
do not depend on its batch; on a GPU the last bits of a float may. Deleted images are removed from the results, with
their outputs. Images that are not among the inputs keep their results, and so do images that an earlier command redid
(`redo`), until their file changes. An image that fails loses its earlier results, unless it was being redone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from ..errors import HqsamError, ReaderGoneError
from ..formats.coco import json_line, shown
from ..formats.outputs import Outputs
from ..formats.ownership import tell_kept, tell_removed
from ..formats.values import some_of
from ..io.output_folder import ImageFiles
from ..progress import Progress
from ..records import ImageRecord
from .all_images import all_records
from .fingerprint import is_unknown
from .inputs import inputs_digest
from .interrupt import Interrupt
from .job import Job, Plan, Summary, in_order, make_plan
from .journal import Beginning, Journal, cannot_write, with_results
from .object_journal import check_writable, open_journal
from .steps import WorkItem
from .work import Engine, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRun:
    """A run that is ready to start.

    Attributes:
        engine: loads the models, and processes the images.
        outputs: the job's writers; None if results are discarded or streamed.
        plan: images that are done or left.
        describe: returns a description of the prompts.
        lost: inputs or prompts were skipped, so that the exit code is 3.
        strict: prompts outside their images also make the exit code 3.
        has_files: prompts come from files.
    """

    job: Job
    outputs: Outputs | None
    engine: Callable[[], Engine]
    plan: Plan
    describe: Callable[[], str] = str
    lost: bool = False
    strict: bool = False
    has_files: bool = False

    def run(self, progress: Progress) -> Summary:
        """Run the job until it ends, is interrupted, or fails.

        Raises:
            HqsamError: models cannot be loaded, results cannot be written or belong to another run, no prompt is inside
                its image, or too many images would lose their results.
        """
        job, journal = self.job, None
        self.plan.check_removal(prune=job.config.prune)
        if job.journal is not None:
            check_writable(job.journal)
        engine = self.engine()
        began = time.monotonic()
        if job.journal is not None:
            journal = open_journal(
                job.journal, job.remembered, overwrite=job.config.overwrite, redo=job.config.redo, info=job.info
            )
        try:
            with Interrupt() as interrupt:
                summary = _Run(job, self.outputs, engine, progress, journal, interrupt).process(self.plan)
            if journal is not None:
                journal.end(summary.outcome)
        finally:
            if journal is not None:
                journal.close()
        summary.seconds = time.monotonic() - began
        has_results = summary.masks or summary.already_done or summary.failed or summary.interrupted
        if self.has_files and summary.lost and not has_results:
            raise HqsamError(f"no prompt lies inside its image ({summary.lost} skipped)", remedy="see above")
        summary.left_out = self.lost or (self.strict and summary.lost > 0)
        return summary


def _print_lines(stream: BinaryIO, lines: Iterable[bytes]) -> None:
    try:
        stream.write(b"".join(lines))
        stream.flush()
    except BrokenPipeError:
        raise ReaderGoneError() from None
    except OSError as error:
        raise HqsamError(
            f"the results cannot be written ({error.strerror})", remedy="choose another `output`"
        ) from None


@dataclass
class _Run:
    """State of a run.

    Attributes:
        left: number of images not yet processed.
        known: images with earlier results.
        kept: files edited by the user.
        bare: failed images that lose earlier results; `spared` ones keep them.
        categories: COCO categories, those of earlier runs first.
    """

    job: Job
    outputs: Outputs | None
    engine: Engine
    progress: Progress
    journal: Journal | None
    interrupt: Interrupt
    summary: Summary = field(default_factory=Summary)
    left: int = 0
    known: set[str] = field(default_factory=set)
    kept: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    spared: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.names = [image.file_name for image in self.job.images]
        self.categories = self.job.categories
        journal, replaces_any = self.journal, self.job.config.overwrite_edited
        # Digests of what earlier runs wrote for an image; None if any file may be replaced.
        self.noted: Callable[[str], Collection[str] | None] = (
            (lambda _name: None) if journal is None or replaces_any else journal.noted
        )

    def process(self, plan: Plan) -> Summary:
        """Process and record the remaining images, and write the files about all images, however the run ends."""
        job, summary = self.job, self.summary
        if self.journal is not None and self.journal.contents.end != plan.end:  # another run wrote to it since
            plan = make_plan(job, self.outputs, self.journal.contents)
            plan.check_removal(prune=job.config.prune)
        self._open_outputs()
        summary.already_done, summary.failed_before = len(plan.done), len(plan.failed)
        summary.lost, self.left = plan.lost, len(plan.left)
        starts = range(0, len(plan.left), job.batch_size)
        groups = (
            [
                WorkItem(image, job.prompts.for_image(image.file_name), ImageFiles(self.noted(image.file_name)))
                for image in group
            ]
            for group in (plan.left[start : start + job.batch_size] for start in starts)
        )
        try:
            self._begin(plan)
            with closing(self.engine.outcomes(groups, self._is_stopped)) as made:
                for outcomes in made:
                    with self.interrupt.held():
                        self._commit(outcomes)
        except KeyboardInterrupt:  # a second signal: the images in progress are given up
            self.interrupt.wanted = True
        except Exception:
            with suppress(HqsamError):  # the first error is reported
                self._write_at_the_end()
            raise
        finally:
            tell_removed("images that failed", self.bare)
            if self.spared:
                names = self.spared
                self.progress.on_problem(f"images that failed, earlier results kept: {len(names)} ({some_of(names)})")
            tell_kept(self.kept)
        summary.interrupted = self.interrupt.wanted and self.left > 0
        summary.stopped = self._too_many_failed()
        self._write_at_the_end()
        return summary

    def _write_at_the_end(self) -> None:
        """Write labels and the files about all images, of those that are done."""
        if self.outputs is None or self.journal is None:
            return
        with suppress(KeyboardInterrupt), self.interrupt.held():  # no signal leaves earlier files
            run = all_records(self.journal, self.names, self.categories, self.job.segmentation)
            self.summary.files += self.outputs.close(run, cannot_write)

    def _open_outputs(self) -> None:
        if self.outputs is None or self.journal is None:
            return
        names = with_results(self.journal.entries)
        former = dict.fromkeys([*with_results(self.journal.former), *self.names]) if self.job.config.overwrite else {}
        self.known, self.categories = set(names), in_order(self.journal.categories, self.job.categories)
        try:
            self.outputs.begin([*former, *names], self.categories)
        except OSError as error:
            raise cannot_write(self.job.output or "", error) from None
        # When a run starts over, existing files are removed; at a URL this would require reading each image file.
        for name in former:
            self._remove(name, pictures=isinstance(self.job.output, Path))

    def _remove(self, name: str, written: Iterable[str] = (), *, pictures: bool = True) -> None:
        """Remove the outputs of an image; `written` are digests of what this run just wrote."""
        assert self.outputs is not None
        files = ImageFiles(self.noted(name), list(written), self.kept, self.job.config.overwrite)
        self.outputs.remove(name, files, pictures=pictures)

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
        if plan.redone:
            names = plan.redone
            self.progress.say(f"images redone earlier, results kept: {len(names)} ({some_of(names)})")
        if plan.others:
            names = plan.others
            self.progress.say(f"images of earlier commands, results kept: {len(names)} ({some_of(names)})")
        if self.journal is not None:
            failed = sum(self.journal.entries[name].failure is not None for name in plan.others)
            for name in plan.gone:
                self._remove(name)
            self.journal.forget(plan.gone)
            self.journal.touch(plan.touched)
            self.journal.begin(
                Beginning(
                    images=len(job.images) + len(plan.others),
                    done=summary.already_done + len(plan.others) - failed,
                    failed=summary.failed_before + failed,
                    others=len(plan.others),
                    inputs=job.inputs or inputs_digest(job.images),
                    categories=self.categories,
                    identity=job.remembered if job.config.redo and self.journal.contents.end else {},
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

    def _commit(self, outcomes: list[Outcome]) -> None:
        """Record images whose outputs are written, or print their lines."""
        noted = [record for outcome in outcomes if (record := self._settled(outcome)) is not None]
        if self.journal is not None:
            self.journal.append(noted)
        elif self.job.stream is not None:
            _print_lines(self.job.stream, (json_line(shown(record, self.job.segmentation)) for record in noted))
        self.left -= len(outcomes)
        for outcome in outcomes:
            for problem in outcome.problems:
                self.progress.on_problem(problem)
            self.summary.lost += len(outcome.problems)
            self.summary.count(outcome.record)
            self.progress.on_record(outcome.record)

    def _is_spared(self, outcome: Outcome) -> bool:
        """Whether a failed image keeps its earlier results: if it may be readable later, or was to be redone."""
        record = outcome.record
        is_untouched = self.job.config.redo and not outcome.files.written
        return is_untouched or is_unknown(record.origin.fingerprint, record.path)

    def _settled(self, outcome: Outcome) -> ImageRecord | None:
        """Update an image's labels and files, and return what to journal; None if nothing changed."""
        record, files = outcome.record, outcome.files
        name = record.file_name
        if self.outputs is None:
            return record
        if record.failure is None:
            for labels in self.outputs.labels:
                labels.note(record, files, is_new=name not in self.known)
            self.kept += files.kept
        elif name in self.known and self._is_spared(outcome):
            self.spared.append(name)
            return None
        elif name in self.known:
            self._remove(name, files.written)
            files.written.clear()
            self.bare.append(name)
        else:
            self.outputs.remove_unnoted(name, files)
            files.written.clear()
        return replace(record, origin=record.origin._replace(files=" ".join(files.written)))
