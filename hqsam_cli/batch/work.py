"""Processing of an image from its file to its outputs, in any process."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..errors import ImageError
from ..formats.annotations import make_image_record
from ..formats.ownership import ImageFiles
from ..formats.run_records import ImageResult
from ..formats.uploads import AnyWriter
from ..io.find import SourceImage
from ..io.images import read_image, turn_of_masks
from ..prompts.fit import fit_prompts
from ..records import ImagePrompts
from .fingerprint import take_fingerprint
from .journal import Origin, cannot_write
from .steps import DecodedImage, Step

NAME_ERRORS = (
    errno.ENAMETOOLONG,
    errno.EILSEQ,
    errno.ENOTDIR,
    errno.EISDIR,
)  # caused by the name of the image, not the disk


class Asked(NamedTuple):
    """A work item: an image with its prompts.

    Attributes:
        noted: digests of its files from earlier runs; see `ownership.ImageFiles`.
    """

    source: SourceImage
    prompts: ImagePrompts
    noted: Collection[str] | None = None


class Outcome(NamedTuple):
    """The outcome of an image.

    Attributes:
        problems: messages about skipped prompts.
        record: see `annotations.make_image_record`.
        files: its files that were written.
    """

    origin: Origin
    problems: list[str]
    record: dict[str, Any]
    files: ImageFiles


class Engine(Protocol):
    """Processes batches of images, in this or other processes."""

    def outcomes(
        self, groups: Iterator[list[Asked]], stopped: Callable[[], bool]
    ) -> Generator[list[Outcome], None, None]:
        """Yield the outcomes of batches after their outputs are written; starts no batch once stopped.

        Raises:
            HqsamError: outputs cannot be written, or no image can be processed.
        """


class Worker:
    """Decodes images, runs a step on them, and writes their outputs.

    Args:
        writers: of formats with files per image.
        output: named in errors of writing.
        on_result: callback with the result of each image.
    """

    def __init__(
        self,
        step: Step[Any],
        writers: Sequence[AnyWriter],
        *,
        exif: str,
        max_pixels: int,
        output: Path | str | None,
        on_result: Callable[[ImageResult], None] | None = None,
    ) -> None:
        self.step, self.writers, self.on_result = step, writers, on_result
        self.exif, self.max_pixels, self.output = exif, max_pixels, output

    def outcomes(self, group: list[Asked]) -> list[Outcome]:
        """Process a batch, one stage after the other."""
        decoded = [self.decode(asked) for asked in group]
        return [self.write(item, own) for item, own in zip(decoded, self.results(decoded), strict=True)]

    def decode(self, asked: Asked) -> DecodedImage:
        """Decode an image, and fit its prompts to it."""
        source, prompts, noted = asked
        place = source.place()
        item = DecodedImage(source, prompts.image_id, str(take_fingerprint(place, prompts)), ImageFiles(noted))
        try:
            with item.timed("decode"):
                pixels = read_image(place, exif=self.exif, max_pixels=self.max_pixels)
            turn = turn_of_masks(place, self.exif) if any(p.mask is not None for p in prompts.prompts) else None
            item.prompts, item.problems = fit_prompts(prompts, pixels.shape[1], pixels.shape[0], turn)
            item.pixels = pixels
            with item.timed("resize"):
                self.step.prepare(item)
        except ImageError as error:
            item.error = str(error)
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
        source, record = item.source, self._record(item, results)
        origin = Origin(item.fingerprint, source.absolute, len(item.problems), item.seconds)
        return Outcome(origin, item.problems, record, item.files)

    def _record(self, item: DecodedImage, results: list[Any]) -> dict[str, Any]:
        name, path = item.source.file_name, item.source.path
        size = None if item.pixels is None else (item.pixels.shape[1], item.pixels.shape[0])
        pixels, item.pixels, item.resized = item.pixels, None, None
        error = item.error
        try:
            if error is None and size is not None:
                results = self.step.finished(results)
                annotations = self.step.annotations(item, results)
                with item.timed("write"):
                    result = ImageResult(name, size, results, annotations, pixels, item.files)
                    for writer in self.writers:
                        writer.write(result)
                    if self.on_result is not None:
                        self.on_result(result)
                return make_image_record(name, item.image_id, size, annotations)
        except ImageError as failure:
            error = str(failure)
        except OSError as failure:
            if failure.errno not in NAME_ERRORS:
                raise cannot_write(self.output or Path(name), failure) from None
            error = f"{path}: no valid name for its outputs ({failure.strerror}); rename the image"
        return make_image_record(name, item.image_id, size, [], error)


def failed(asked: Asked, error: ImageError) -> Outcome:
    """The outcome of an image that cannot be processed."""
    source, prompts, noted = asked
    fingerprint = str(take_fingerprint(source.place(), prompts))
    record = make_image_record(source.file_name, prompts.image_id, None, [], str(error))
    return Outcome(Origin(fingerprint, source.absolute), [], record, ImageFiles(noted))
