"""Processing of images from their files to their outputs, in any process."""

from __future__ import annotations

import errno
import logging
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..errors import ImageError, first_line
from ..formats.image_writer import ImageResult
from ..formats.outputs import Outputs
from ..io.georeference import geotiff_keys
from ..io.images import TURNS, mask_turn
from ..io.output_folder import ImageFiles
from ..io.rasters import Raster, read_or_open
from ..prompts.fit import fit_prompts
from ..records import Failure, ImageRecord, Origin
from .fingerprint import take_fingerprint
from .job import Job
from .journal import cannot_write
from .steps import Step, WorkItem

log = logging.getLogger(__name__)
GROUPS_AHEAD = 2  # decoded before the model; the same number may be written after it
NAME_ERRORS = (
    errno.ENAMETOOLONG,
    errno.EILSEQ,
    errno.ENOTDIR,
    errno.EISDIR,
)  # caused by the image name, not the disk


class Outcome(NamedTuple):
    """Outcome of an image.

    Attributes:
        problems: messages about skipped prompts.
        files: files written for it.
    """

    record: ImageRecord
    problems: list[str]
    files: ImageFiles


class Engine(Protocol):
    """Processes batches of images, in this or other processes."""

    def outcomes(
        self, groups: Iterator[list[WorkItem]], stopped: Callable[[], bool]
    ) -> Generator[list[Outcome], None, None]:
        """Yield the outcomes of batches after their outputs are written; starts no batch once stopped.

        Raises:
            HqsamError: outputs cannot be written, or no image can be processed.
        """


class Worker:
    """Decodes images, runs a step on them, and writes their outputs.

    Args:
        outputs: the job's writers; None if results are discarded or streamed.
        step: segmentation or detection.
    """

    def __init__(self, job: Job, outputs: Outputs | None, step: Step[Any]) -> None:
        self.job, self.step = job, step
        self.writers = [] if outputs is None else outputs.pictures

    def outcomes(self, group: list[WorkItem]) -> list[Outcome]:
        """Process a batch, one stage after the other."""
        decoded = [self.decode(item) for item in group]
        return [self.write(item, own) for item, own in zip(decoded, self.results(decoded), strict=True)]

    def decode(self, item: WorkItem) -> WorkItem:
        """Decode an image, and fit its prompts to it."""
        config, file = self.job.config, item.source.file()
        item.fingerprint = str(take_fingerprint(file, item.given))
        try:
            with item.timed("decode"):
                pixels, orientation = read_or_open(file, exif=config.exif, max_pixels=config.max_pixels)
            if config.exif == "ignore" or orientation not in TURNS:  # GDAL does not turn coordinates
                item.geo = geotiff_keys(file)
            if isinstance(pixels, Raster):
                self._check_windowed(item)
            if item.given.prompts:
                (height, width), turn = pixels.shape[:2], mask_turn(orientation, config.exif)
                item.prompts, item.problems = fit_prompts(item.given, width, height, turn)
            item.pixels = pixels
            with item.timed("resize"):
                item.resized = self.step.prepare(pixels, item.prompts)
        except ImageError as error:
            item.failure = Failure.of(error, item.source.path)
        return item

    def _check_windowed(self, item: WorkItem) -> None:
        """Raise an ImageError for an image that is read in windows, if something needs all its pixels at once."""
        need = next((own.folder for own in self.writers if own.draws), "") or ("show" if self.job.on_result else "")
        for prompt in item.given.prompts:
            if prompt.mask is not None:
                need = "coarse masks"
            elif prompt.box is None and prompt.xyxyn is None and prompt.input_box is None:
                need = "points without boxes"  # in the reduced image, they may be of anything around the object
        if need:
            remedy = ("" if need == "show" else "omit them, ") + "raise `max_pixels`, or cut it into tiles"
            raise ImageError(f"too large for {need}", file=item.source.path, remedy=remedy)

    def results(self, group: list[WorkItem]) -> list[list[Any]]:
        """Run the step on a batch; if that fails, on each image separately, so that one cannot fail the others."""
        began = time.monotonic()
        usable = [item for item in group if item.failure is None]
        try:
            made: list[list[Any]] = self.step.results(usable) if usable else []
        except MemoryError:
            raise
        except Exception as error:
            log.debug("the model failed on %s", ", ".join(item.source.path for item in usable), exc_info=True)
            if len(usable) > 1:
                return [self.results([item])[0] for item in group]
            (item,), made = usable, [[]]
            remedy = "run with `debug`, and report it"
            if not isinstance(error, ImageError):
                error = ImageError("the model failed", detail=first_line(error), remedy=remedy)
            item.failure = Failure.of(error, item.source.path)
        for item in group:
            item.seconds["model"] = round((time.monotonic() - began) / len(group), 4)
        by_name = {item.source.file_name: own for item, own in zip(usable, made, strict=True)}
        return [by_name.get(item.source.file_name, []) for item in group]

    def write(self, item: WorkItem, results: list[Any]) -> Outcome:
        """Write the files of an image."""
        source, pixels = item.source, item.pixels
        size = None if pixels is None else (pixels.shape[1], pixels.shape[0])
        record = ImageRecord(
            source.file_name, item.given.image_id, size, [], item.failure, source.absolute, geo=item.geo
        )
        item.pixels = item.resized = None
        if record.failure is None:
            try:
                results, annotations = self.step.finish(item, results)
                record = replace(record, annotations=annotations)
                whole = pixels if isinstance(pixels, np.ndarray) else None
                result = ImageResult(record, results, whole, item.files)
                with item.timed("write"):
                    for writer in self.writers:
                        writer.write(result)
                    if self.job.on_result is not None:
                        self.job.on_result(result)
            except ImageError as error:
                record = replace(record, annotations=[], failure=Failure.of(error, source.path))
            except OSError as error:
                if error.errno not in NAME_ERRORS:
                    raise cannot_write(self.job.output or Path(source.file_name), error) from None
                reason = "no valid name for its outputs"
                failure = Failure(source.path, reason, error.strerror or "", "rename the image")
                record = replace(record, annotations=[], failure=failure)
        origin = Origin(item.fingerprint, len(item.problems), item.seconds)
        return Outcome(replace(record, origin=origin), item.problems, item.files)


def failed(item: WorkItem, error: ImageError) -> Outcome:
    """Outcome of an image that cannot be processed."""
    source, given = item.source, item.given
    origin = Origin(str(take_fingerprint(source.file(), given)))
    failure = Failure.of(error, source.path)
    record = ImageRecord(source.file_name, given.image_id, None, [], failure, source.absolute, origin)
    return Outcome(record, [], item.files)


class LocalEngine:
    """An `Engine` in this process: threads decode ahead and write behind; batches are returned in order.

    Args:
        threads: number of decoding threads, and of writing threads.
    """

    def __init__(self, worker: Worker, threads: int) -> None:
        self.worker, self.threads = worker, threads

    def outcomes(
        self, groups: Iterator[list[WorkItem]], stopped: Callable[[], bool]
    ) -> Generator[list[Outcome], None, None]:
        """See `Engine`."""
        waiting: deque[list[Future[WorkItem]]] = deque()
        writing: deque[list[Future[Outcome]]] = deque()
        decoders = ThreadPoolExecutor(self.threads, "decode")
        writers = ThreadPoolExecutor(self.threads, "write")
        try:
            while True:
                while len(waiting) < GROUPS_AHEAD and (group := next(groups, None)) is not None:
                    waiting.append([decoders.submit(self.worker.decode, item) for item in group])
                if not waiting or stopped():
                    break
                ready = [future.result() for future in waiting.popleft()]
                made = self.worker.results(ready)
                pairs = zip(ready, made, strict=True)
                writing.append([writers.submit(self.worker.write, item, own) for item, own in pairs])
                del ready, made, pairs
                # Written images are recorded immediately: a crash loses little, and a full disk stops the run early.
                while writing and (len(writing) > GROUPS_AHEAD or all(future.done() for future in writing[0])):
                    yield [future.result() for future in writing.popleft()]
            while writing:
                yield [future.result() for future in writing.popleft()]
        finally:
            decoders.shutdown(cancel_futures=True)
            writers.shutdown(cancel_futures=True)
