"""From image files to results: decoding ahead, the models in the middle, writing behind.

A detector, if there is one, finds the prompts of a group just before it is segmented; without a model to segment
with, what it found is the result.

Images go through in groups of `batch_size` that depend on the order of the inputs alone. A group in which
one image is not done is done again as a whole: the last bits of a float depend on the company it is computed
in, and a continued run is to give the bytes of an unbroken one. An image is done while its file and its
prompts are what they were: a photo that was replaced, or another of the same name, is segmented anew.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar

import numpy as np

from ..errors import HqsamError, ImageError, ReaderGoneError
from ..formats.annotations import json_line, make_annotation, make_detection, make_image_record
from ..formats.coco_writer import write_coco, write_ndjson
from ..formats.png import remove_masks, write_id_map, write_masks
from ..io.find import SourceImage
from ..io.images import read_image
from ..prompts.fit import fit_prompts
from ..records import ImagePrompts, Instance, Prompt
from .interrupt import Interrupt
from .journal import Journal, cannot_write

GROUPS_AHEAD = 2  # decoded and waiting for the model, and likewise segmented and being written
Answer = TypeVar("Answer")
NAME_ERRORS = (errno.ENAMETOOLONG, errno.EILSEQ, errno.ENOTDIR, errno.EISDIR)  # the image's name, not the disk


class PredictsMasks(Protocol):
    """What the pipeline needs of a `Predictor`."""

    def predict_batch(self, images: list[np.ndarray], prompts: list[list[Prompt]]) -> list[list[Instance]]: ...


class DetectsObjects(Protocol):
    """What the pipeline needs of a `Detector`."""

    def detect(self, images: list[np.ndarray]) -> list[list[Prompt]]: ...


class PromptsByName(Protocol):
    """What the pipeline needs of a `PromptTable`."""

    categories: list[dict[str, Any]]

    def for_image(self, file_name: str) -> ImagePrompts: ...

    def detected(self, file_name: str, found: list[Prompt]) -> list[Prompt]: ...


class Reporter(Protocol):
    """Whoever tells people how it goes; called from one thread, about images in input order."""

    def on_start(self, images: int, already_done: int) -> None: ...

    def on_image(self, record: dict[str, Any]) -> None: ...

    def on_problem(self, text: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Job:
    """What to do.

    Attributes:
        images: in the order of the results.
        prompts: of each image; where a detector finds them, their ids.
        output: the folder, or None to write NDJSON to `stream`.
        formats: of `coco`, `png`, `idmap` and `ndjson`.
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
    multimask: bool
    identity: dict[str, str]
    overwrite: bool = False
    stream: BinaryIO | None = None


@dataclass(slots=True)
class Summary:
    """How it went.

    Attributes:
        done: images done now; `already_done` those of earlier runs.
        masks: or boxes, where these are the results.
        failed: one sentence for each image that failed.
    """

    done: int = 0
    already_done: int = 0
    masks: int = 0
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)
    interrupted: bool = False
    files: list[Path] = field(default_factory=list)

    @property
    def exit_code(self) -> int:
        """0 all done, 3 some images failed, 130 interrupted."""
        return 130 if self.interrupted else 3 if self.failed else 0


@dataclass(slots=True)
class _Decoded:
    """An image ready for the model, or the sentence that says why it is not."""

    source: SourceImage
    image_id: int
    fingerprint: str
    pixels: np.ndarray | None = None
    prompts: list[Prompt] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    error: str | None = None


_Writing = list[tuple[_Decoded, "Future[dict[str, Any]]"]]  # a group on its way to disk


def segment_images(
    job: Job, predictor: PredictsMasks | None, reporter: Reporter, detector: DetectsObjects | None = None
) -> Summary:
    """Run the job to its end, to an interrupt, or to a fatal error.

    Args:
        predictor: makes the masks; None where boxes are the results.
        detector: finds the prompts; None where the job has them.

    Raises:
        HqsamError: outputs cannot be written, or are of another run.
    """
    began = time.monotonic()
    journal = None if job.output is None else Journal(job.output, job.identity, overwrite=job.overwrite)
    try:
        if job.output is not None:
            _make_folders(job.output, job.formats)
        with Interrupt() as interrupt:
            summary = _Run(job, predictor, detector, reporter, journal, interrupt).through_all_groups()
            if journal is not None and not summary.interrupted:
                summary.files = _collected_files(job, journal)
    finally:
        if journal is not None:
            journal.close()
    summary.seconds = time.monotonic() - began
    return summary


def _answers(group: list[_Decoded], ask: Callable[[list[_Decoded]], list[list[Answer]]]) -> list[list[Answer]]:
    """What a model says of a group; if it fails on it, of each image alone, so that one cannot harm the rest."""
    usable = [item for item in group if item.error is None]
    try:
        answers = iter(ask(usable))
    except MemoryError:
        raise
    except Exception:
        answers = iter([_answer_alone(item, ask) for item in usable])
    made = {item.source.file_name: next(answers) for item in usable}
    return [made.get(item.source.file_name, []) for item in group]


def _answer_alone(item: _Decoded, ask: Callable[[list[_Decoded]], list[list[Answer]]]) -> list[Answer]:
    try:
        return ask([item])[0]
    except MemoryError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        item.error = f"{item.source.path}: the model failed on it ({reason}); report this with the image"
        return []


def _pixels(items: list[_Decoded]) -> list[np.ndarray]:
    return [item.pixels for item in items if item.pixels is not None]


def _make_folders(output: Path, formats: frozenset[str]) -> None:
    """Make the folders of the PNGs, so that what is wrong with them is no image's fault."""
    for folder in _png_folders(output, formats):
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise cannot_write(folder, error) from None


def _png_folders(output: Path, formats: frozenset[str]) -> list[Path]:
    return [output / name for kind, name in (("png", "masks"), ("idmap", "idmaps")) if kind in formats]


def _image_fingerprint(source: SourceImage, prompts: ImagePrompts) -> str:
    """What the results of an image depend on that the run's identity does not say: its file, ids and prompts."""
    try:
        status = os.stat(source.path)
        state = f"{status.st_size} {status.st_mtime_ns}"
    except OSError:
        state = "unreadable"
    return hashlib.sha256(f"{state} {prompts!r}".encode()).hexdigest()[:16]


def _print_lines(stream: BinaryIO, records: list[dict[str, Any]]) -> None:
    try:
        stream.write(b"".join(map(json_line, records)))
        stream.flush()
    except BrokenPipeError:
        raise ReaderGoneError from None
    except OSError as error:
        raise HqsamError(f"the results cannot be written ({error.strerror}); choose another --output") from None


def _collected_files(job: Job, journal: Journal) -> list[Path]:
    """Write the files that are about all images together; returns what the output folder holds."""
    assert job.output is not None
    names = [image.file_name for image in job.images]
    files = []
    try:
        if "coco" in job.formats:
            files.append(job.output / "instances.json")
            write_coco(files[-1], lambda: journal.records(names), job.prompts.categories)
        if "ndjson" in job.formats:
            files.append(job.output / "instances.ndjson")
            write_ndjson(files[-1], journal.records(names))
    except OSError as error:
        raise cannot_write(files[-1], error) from None
    return files + _png_folders(job.output, job.formats)


class _Run:
    """The stages of one run and what passes between them."""

    def __init__(
        self,
        job: Job,
        predictor: PredictsMasks | None,
        detector: DetectsObjects | None,
        reporter: Reporter,
        journal: Journal | None,
        interrupt: Interrupt,
    ) -> None:
        self.job = job
        self.predictor = predictor
        self.detector = detector
        self.reporter = reporter
        self.journal = journal
        self.interrupt = interrupt
        self.summary = Summary()
        self.names = {category["id"]: category.get("name") for category in job.prompts.categories}

    def through_all_groups(self) -> Summary:
        """Decode ahead, detect and segment, write behind, and journal in order."""
        groups = self._groups_to_do()
        self.reporter.on_start(len(self.job.images), self.summary.already_done)
        waiting: deque[list[Future[_Decoded]]] = deque()
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
                self._detect(ready)
                made = self._segmented(ready)
                pairs = zip(ready, made, strict=True)
                writing.append([(item, writers.submit(self._written, item, own)) for item, own in pairs])
                del ready, made, pairs
                # What is written is noted at once: a crash loses little, and a full disk stops the run soon.
                while writing and (len(writing) > GROUPS_AHEAD or all(future.done() for _, future in writing[0])):
                    self._commit(writing.popleft())
            while writing:
                self._commit(writing.popleft())
            self.summary.interrupted = self.interrupt.wanted and bool(waiting)
        finally:
            decoders.shutdown(cancel_futures=True)
            writers.shutdown(cancel_futures=True)
        return self.summary

    def _groups_to_do(self) -> Iterator[list[SourceImage]]:
        """Groups with an image that is not done."""
        size, images = self.job.batch_size, self.job.images
        groups = [images[start : start + size] for start in range(0, len(images), size)]
        groups = [group for group in groups if not all(map(self._is_done, group))]
        self.summary.already_done = len(images) - sum(map(len, groups))
        return iter(groups)

    def _is_done(self, source: SourceImage) -> bool:
        known = None if self.journal is None else self.journal.fingerprint_of(source.file_name)
        return known is not None and known == _image_fingerprint(source, self.job.prompts.for_image(source.file_name))

    def _decoded(self, source: SourceImage) -> _Decoded:
        """Decode one image and fit its prompts to it."""
        asked = self.job.prompts.for_image(source.file_name)
        item = _Decoded(source, asked.image_id, _image_fingerprint(source, asked))
        try:
            pixels = read_image(source.path, exif=self.job.exif, max_pixels=self.job.max_pixels)
            item.prompts, item.problems = fit_prompts(asked, pixels.shape[1], pixels.shape[0])
            item.pixels = pixels
        except ImageError as error:
            item.error = str(error)
        return item

    def _detect(self, ready: list[_Decoded]) -> None:
        """Give the images of a group the prompts that the detector finds."""
        if (detector := self.detector) is not None:
            for item, found in zip(ready, _answers(ready, lambda items: detector.detect(_pixels(items))), strict=True):
                item.prompts = self.job.prompts.detected(item.source.file_name, found)

    def _segmented(self, ready: list[_Decoded]) -> list[list[Instance]]:
        """Instances of a group."""
        if (predictor := self.predictor) is None:
            return [[] for _ in ready]
        return _answers(ready, lambda items: predictor.predict_batch(_pixels(items), [item.prompts for item in items]))

    def _written(self, item: _Decoded, instances: list[Instance]) -> dict[str, Any]:
        """Write the outputs of one image; its record. An image that failed keeps no outputs of an earlier run."""
        name, path = item.source.file_name, item.source.path
        size = None if item.pixels is None else (item.pixels.shape[1], item.pixels.shape[0])
        item.pixels = None
        error = item.error
        if not all(math.isfinite(instance.predicted_iou) for instance in instances):
            error = f"{path}: the model's numbers overflowed; pass --dtype float32"
        if error is None and size is not None:
            if self.predictor is None:
                annotations = [make_detection(p, item.image_id, self.names.get(p.category_id)) for p in item.prompts]
            else:
                annotations = [make_annotation(i, item.image_id, multimask=self.job.multimask) for i in instances]
            try:
                self._write_pngs(name, instances, annotations, size)
                return make_image_record(name, item.image_id, size, annotations)
            except ImageError as failure:
                error = str(failure)
            except OSError as failure:
                if failure.errno not in NAME_ERRORS:
                    raise cannot_write(self.job.output or Path(name), failure) from None
                error = f"{path}: its outputs cannot have that name ({failure.strerror}); rename it"
        self._remove_pngs(name)
        return make_image_record(name, item.image_id, size, [], error)

    def _write_pngs(
        self, name: str, instances: list[Instance], annotations: list[dict[str, Any]], size: tuple[int, int]
    ) -> None:
        output, formats = self.job.output, self.job.formats
        if output is not None and "png" in formats:
            write_masks(output / "masks" / name, instances, annotations)
        if output is not None and "idmap" in formats:
            write_id_map(output / "idmaps" / f"{name}.png", instances, annotations, size)

    def _remove_pngs(self, name: str) -> None:
        # Where nothing can be removed, nothing was written.
        if self.job.output is not None:
            with suppress(OSError):
                remove_masks(self.job.output / "masks" / name)
            with suppress(OSError):
                (self.job.output / "idmaps" / f"{name}.png").unlink(missing_ok=True)

    def _commit(self, group: _Writing) -> None:
        """Journal a group whose outputs are in place, or print its lines."""
        items = [item for item, _ in group]
        records = [future.result() for _, future in group]
        if self.journal is not None:
            self.journal.append((item.fingerprint, record) for item, record in zip(items, records, strict=True))
        elif self.job.stream is not None:
            _print_lines(self.job.stream, records)
        for item, record in zip(items, records, strict=True):
            for problem in item.problems:
                self.reporter.on_problem(problem)
            self.summary.done += record["error"] is None
            self.summary.masks += len(record["annotations"])
            if record["error"] is not None:
                self.summary.failed.append(record["error"])
            self.reporter.on_image(record)
