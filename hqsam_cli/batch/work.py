"""Processing of an image from its file to its outputs, in any process."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..errors import ImageError
from ..formats.image_writer import ImageWriter
from ..formats.ownership import ImageFiles
from ..formats.run_records import ImageResult
from ..io.find import SourceImage
from ..io.images import mask_turn, read_oriented
from ..prompts.fit import fit_prompts
from ..records import Failure, ImagePrompts, ImageRecord
from .fingerprint import take_fingerprint
from .journal import Origin, cannot_write
from .steps import DecodedImage, Step

NAME_ERRORS = (
    errno.ENAMETOOLONG,
    errno.EILSEQ,
    errno.ENOTDIR,
    errno.EISDIR,
)  # caused by the image name, not the disk


class WorkItem(NamedTuple):
    """An image to process, and its prompts.

    Attributes:
        noted: digests of its files from earlier runs; see `ownership.ImageFiles`.
    """

    source: SourceImage
    prompts: ImagePrompts
    noted: Collection[str] | None = None


class Outcome(NamedTuple):
    """Outcome of an image.

    Attributes:
        problems: messages about skipped prompts.
        files: files written for it.
    """

    origin: Origin
    problems: list[str]
    record: ImageRecord
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
        writers: of formats with files per image.
        output: used in messages about write errors.
        on_result: callback with the result of each image.
    """

    def __init__(
        self,
        step: Step[Any],
        writers: Sequence[ImageWriter],
        *,
        exif: str,
        max_pixels: int,
        output: Path | str | None,
        on_result: Callable[[ImageResult], None] | None = None,
    ) -> None:
        self.step, self.writers, self.on_result = step, writers, on_result
        self.exif, self.max_pixels, self.output = exif, max_pixels, output

    def outcomes(self, group: list[WorkItem]) -> list[Outcome]:
        """Process a batch, one stage after the other."""
        decoded = [self.decode(work_item) for work_item in group]
        return [self.write(item, own) for item, own in zip(decoded, self.results(decoded), strict=True)]

    def decode(self, work_item: WorkItem) -> DecodedImage:
        """Decode an image, and fit its prompts to it."""
        source, prompts, noted = work_item
        file = source.file()
        item = DecodedImage(source, prompts.image_id, str(take_fingerprint(file, prompts)), ImageFiles(noted))
        try:
            with item.timed("decode"):
                pixels, orientation = read_oriented(file, exif=self.exif, max_pixels=self.max_pixels)
            height, width = pixels.shape[:2]
            item.prompts, item.problems = fit_prompts(prompts, width, height, mask_turn(orientation, self.exif))
            item.pixels = pixels
            with item.timed("resize"):
                self.step.prepare(item)
        except ImageError as error:
            item.failure = Failure.of(error, source.path)
        return item

    def results(self, group: list[DecodedImage]) -> list[list[Any]]:
        """Run the step on a batch."""
        began = time.monotonic()
        results: list[list[Any]] = self.step.results(group)
        for item in group:
            item.seconds["model"] = round((time.monotonic() - began) / len(group), 4)
        return results

    def write(self, item: DecodedImage, results: list[Any]) -> Outcome:
        """Write the files of an image."""
        record = self._record(item, results)
        return Outcome(Origin(item.fingerprint, len(item.problems), item.seconds), item.problems, record, item.files)

    def _record(self, item: DecodedImage, results: list[Any]) -> ImageRecord:
        source = item.source
        size = None if item.pixels is None else (item.pixels.shape[1], item.pixels.shape[0])
        record = ImageRecord(source.file_name, item.image_id, size, [], item.failure, source.absolute)
        pixels, item.pixels, item.resized = item.pixels, None, None
        if item.failure is not None or size is None:
            return record
        try:
            results = self.step.finished(results)
            record = replace(record, annotations=self.step.annotations(item, results))
            result = ImageResult(record, results, pixels, item.files)
            with item.timed("write"):
                for writer in self.writers:
                    writer.write(result)
                if self.on_result is not None:
                    self.on_result(result)
            return record
        except ImageError as error:
            failure = Failure.of(error, source.path)
        except OSError as error:
            if error.errno not in NAME_ERRORS:
                raise cannot_write(self.output or Path(source.file_name), error) from None
            failure = Failure(source.path, "no valid name for its outputs", error.strerror or "", "rename the image")
        return replace(record, annotations=[], failure=failure)


def failed(item: WorkItem, error: ImageError) -> Outcome:
    """Outcome of an image that cannot be processed."""
    source, prompts, noted = item
    origin = Origin(str(take_fingerprint(source.file(), prompts)))
    failure = Failure.of(error, source.path)
    record = ImageRecord(source.file_name, prompts.image_id, None, [], failure, source.absolute)
    return Outcome(origin, [], record, ImageFiles(noted))
