"""From image files to results: decoding ahead, a model in the middle, writing behind.

What the model makes of a group of images is up to a `Step`: masks of prompts, boxes, or masks of boxes that it finds
first.

Images that are not done go through in groups of `batch_size`. An image is done while its pixels and its prompts are
what they were and its outputs are in place: a photo that was replaced, another of the same name, and one whose masks
somebody took away are done anew. On a CPU an image's bytes do not depend on the group it is in; on a GPU the last bits
of a float may. Images whose files are gone leave the results, and their outputs go.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from PIL import Image

from ..errors import HqsamError, ImageError, ReaderGoneError, UsageError
from ..formats import WRITERS, MakeWriter
from ..formats.annotations import json_line, make_image_record
from ..formats.run_records import ImageResult, RunRecords, Writer
from ..io.find import SourceImage
from ..io.images import TURNS, read_image, stored_orientation
from ..progress import Progress
from ..prompts.fit import fit_prompts
from ..records import ImagePrompts
from .fingerprint import is_unchanged, take_fingerprint
from .interrupt import Interrupt
from .journal import Entry, Journal, Origin, cannot_write, read_entries
from .steps import DecodedImage, Step

GROUPS_AHEAD = 2  # decoded and waiting for the model, and likewise segmented and being written
NAME_ERRORS = (errno.ENAMETOOLONG, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR)  # the image's name, not the disk


class PromptsByName(Protocol):
    """What the pipeline needs of a `PromptTable`."""

    def for_image(self, file_name: str) -> ImagePrompts: ...


@dataclass(frozen=True, slots=True)
class Job:
    """What to do.

    Attributes:
        images: in the order of the results.
        prompts: of each image, as far as files have them.
        output: the folder, or the path of what is one file; None writes NDJSON to `stream`.
        formats: of `writers`.
        info: what made the results, for those who read them.
        journal: the file of the journal, if one is kept.
        identity: everything results depend on; see `configs.identity`.
    """

    images: list[SourceImage]
    prompts: PromptsByName
    output: Path | None
    formats: frozenset[str]
    exif: str
    max_pixels: int
    batch_size: int
    workers: int
    identity: dict[str, str]
    info: Mapping[str, Any] = field(default_factory=dict)
    overwrite: bool = False
    stream: BinaryIO | None = None
    journal: Path | None = None
    writers: Mapping[str, MakeWriter] = field(default_factory=lambda: WRITERS)


@dataclass(slots=True)
class Summary:
    """How it went.

    Attributes:
        done: images done now; `already_done` those of earlier runs.
        masks: or boxes, where these are the results.
        failed: one sentence for each image that failed.
        lost: how many prompts, or parts of them, did not fit their images.
    """

    done: int = 0
    already_done: int = 0
    masks: int = 0
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)
    lost: int = 0
    interrupted: bool = False
    files: list[Path] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all done, 3 some images failed, 130 interrupted."""
        return 130 if self.interrupted else 3 if self.failed else 0


_Writing = list[tuple[DecodedImage, "Future[dict[str, Any]]"]]  # a group on its way to disk


def run_images(job: Job, step: Step[Any], progress: Progress) -> Summary:
    """Run the job to its end, to an interrupt, or to a fatal error.

    Args:
        step: what is done with the images.

    Raises:
        HqsamError: outputs cannot be written, or are of another run.
    """
    began = time.monotonic()
    if job.output is not None:
        _check_not_foreign(job, _make_writers(job, RunRecords(lambda: (), [])))
    journal = None
    if job.journal is not None:
        journal = Journal(job.journal, job.identity, overwrite=job.overwrite, info=job.info)
    try:
        with Interrupt() as interrupt:
            summary = _Run(job, step, progress, journal, interrupt).through_all_groups()
    finally:
        if journal is not None:
            journal.close()
    summary.seconds = time.monotonic() - began
    return summary


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
    entries, _ = read_entries(job.journal, job.identity)
    return sum(_is_done(image, job, entries, writers) for image in job.images)


def _make_writers(job: Job, run: RunRecords) -> list[Writer]:
    assert job.output is not None
    return [make(job.output, run) for name, make in job.writers.items() if name in job.formats]


def _check_not_foreign(job: Job, writers: list[Writer]) -> None:
    """Raise where files that no run wrote would be replaced."""
    if job.journal is None or job.journal.exists() or job.overwrite:
        return
    for writer in writers:
        if (path := writer.foreign()) is not None:
            raise UsageError(
                "is there, and no run of this tool wrote it",
                file=path,
                remedy="pass `overwrite` to replace it, or choose another `output`",
            )


def _is_done(source: SourceImage, job: Job, entries: Mapping[str, Entry], writers: list[Writer]) -> bool:
    """Whether an image is what it was when its outputs were made, and they are in place."""
    entry = entries.get(source.file_name)
    return (
        entry is not None
        and entry.fingerprint is not None
        and is_unchanged(entry.fingerprint, source, job.prompts.for_image(source.file_name))
        and all(writer.is_complete(source.file_name, entry.results) for writer in writers)
    )


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
    """The stages of one run and what passes between them."""

    def __init__(
        self, job: Job, step: Step[Any], progress: Progress, journal: Journal | None, interrupt: Interrupt
    ) -> None:
        self.job, self.step, self.progress, self.journal, self.interrupt = job, step, progress, journal, interrupt
        self.summary = Summary()
        self.writers: list[Writer] = []
        self.chosen: list[Writer] = []
        if job.output is not None and journal is not None:
            names = self._names()
            run = RunRecords(lambda: journal.records(names), step.categories, journal.info)
            self.chosen = _make_writers(job, run)
            # Those of the formats that are not asked for may have files of an earlier run to take away.
            self.writers = [make(job.output, run) for make in job.writers.values()]
        for writer in self.chosen:
            if writer.fills_folder:
                _make_folder(writer.path)

    def through_all_groups(self) -> Summary:
        """Decode ahead, detect and segment, write behind, and journal in order."""
        groups = self._groups_to_do()
        self._remove_gone()
        self.progress.on_start(len(self.job.images), self.summary.already_done)
        waiting: deque[list[Future[DecodedImage]]] = deque()
        writing: deque[_Writing] = deque()
        decoders = ThreadPoolExecutor(self.job.workers, "decode")
        writers = ThreadPoolExecutor(self.job.workers, "write")
        try:
            while True:
                while len(waiting) < GROUPS_AHEAD and (group := next(groups, None)) is not None:
                    waiting.append([decoders.submit(self._decoded, source) for source in group])
                if not waiting or self.interrupt.wanted:
                    break
                ready = [future.result() for future in waiting.popleft()]
                began = time.monotonic()
                made = self.step.results(ready)
                for item in ready:
                    item.seconds["model"] = round((time.monotonic() - began) / len(ready), 4)
                pairs = zip(ready, made, strict=True)
                writing.append([(item, writers.submit(self._written, item, own)) for item, own in pairs])
                del ready, made, pairs
                # What is written is noted at once: a crash loses little, and a full disk stops the run soon.
                while writing and (len(writing) > GROUPS_AHEAD or all(future.done() for _, future in writing[0])):
                    self._commit(writing.popleft())
            while writing:
                self._commit(writing.popleft())
            self.summary.interrupted = self.interrupt.wanted and bool(waiting)
            if not self.summary.interrupted:
                for writer in self.chosen:
                    self._close(writer)
        finally:
            decoders.shutdown(cancel_futures=True)
            writers.shutdown(cancel_futures=True)
        return self.summary

    def _groups_to_do(self) -> Iterator[list[SourceImage]]:
        """Groups of the images that are not done."""
        job, entries = self.job, {} if self.journal is None else self.journal.entries
        size = job.batch_size
        images = [image for image in job.images if not _is_done(image, job, entries, self.chosen)]
        self.summary.already_done = len(job.images) - len(images)
        left = {image.file_name for image in images}
        self.summary.lost += sum(entries[name].lost for name in self._names() if name not in left)
        return (images[start : start + size] for start in range(0, len(images), size))

    def _names(self) -> list[str]:
        return [image.file_name for image in self.job.images]

    def _remove_gone(self) -> None:
        """Take away the outputs of images of earlier runs whose files are not there any more."""
        names = {image.file_name for image in self.job.images}
        known = {} if self.journal is None else self.journal.entries
        for name, entry in known.items():
            if name not in names and not os.path.lexists(entry.path):
                for writer in self.writers:
                    with suppress(OSError):
                        writer.remove(name)

    def _decoded(self, source: SourceImage) -> DecodedImage:
        """Decode one image and fit its prompts to it."""
        asked = self.job.prompts.for_image(source.file_name)
        item = DecodedImage(source, asked.image_id, str(take_fingerprint(source, asked)))
        try:
            with item.timed("decode"):
                pixels = read_image(source.path, exif=self.job.exif, max_pixels=self.job.max_pixels)
            turn = self._turn_of_masks(source.path) if any(p.mask is not None for p in asked.prompts) else None
            item.prompts, item.problems = fit_prompts(asked, pixels.shape[1], pixels.shape[0], turn)
            item.pixels = pixels
        except ImageError as error:
            item.error = str(error)
        return item

    def _turn_of_masks(self, path: str) -> Image.Transpose | None:
        """What a mask needs that lies the other way than the photo is read: see `fit_prompts`."""
        turns = TURNS.get(stored_orientation(path))
        return None if turns is None else turns[0 if self.job.exif == "apply" else 1]

    def _written(self, item: DecodedImage, results: list[Any]) -> dict[str, Any]:
        """Write the outputs of one image; its record. An image that failed keeps no outputs of an earlier run."""
        name, path = item.source.file_name, item.source.path
        size = None if item.pixels is None else (item.pixels.shape[1], item.pixels.shape[0])
        pixels, item.pixels = item.pixels, None
        error = item.error
        try:
            if error is None and size is not None:
                annotations = self.step.annotations(item, results)
                with item.timed("write"):
                    for writer in self.chosen:
                        writer.write(ImageResult(name, size, results, annotations, pixels))
                return make_image_record(name, item.image_id, size, annotations)
        except ImageError as failure:
            error = str(failure)
        except OSError as failure:
            if failure.errno not in NAME_ERRORS:
                raise cannot_write(self.job.output or Path(name), failure) from None
            error = f"{path}: its outputs cannot have that name ({failure.strerror}); rename it"
        for writer in self.writers:
            with suppress(OSError):  # where nothing can be removed, nothing was written
                writer.remove(name)
        return make_image_record(name, item.image_id, size, [], error)

    def _close(self, writer: Writer) -> None:
        try:
            writer.close()
        except OSError as error:
            raise cannot_write(writer.path, error) from None
        self.summary.files.append(writer.path)

    def _commit(self, group: _Writing) -> None:
        """Journal a group whose outputs are in place, or print its lines."""
        items = [item for item, _ in group]
        records = [future.result() for _, future in group]
        if self.journal is not None:
            made = zip(items, records, strict=True)
            self.journal.append(
                (Origin(item.fingerprint, os.path.abspath(item.source.path), len(item.problems), item.seconds), record)
                for item, record in made
            )
        elif self.job.stream is not None:
            _print_lines(self.job.stream, records)
        for item, record in zip(items, records, strict=True):
            for problem in item.problems:
                self.progress.on_problem(problem)
            self.summary.lost += len(item.problems)
            self.summary.done += record["error"] is None
            self.summary.masks += len(record["annotations"])
            if record["error"] is not None:
                self.summary.failed.append(record["error"])
            self.progress.on_record(record)
