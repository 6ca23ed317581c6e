"""Image scores: records, the log on disk, and the scores of a dataset."""

from __future__ import annotations

import json
import logging
import os
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from ..errors import HqsamError, ImageError
from ..formats.values import note
from ..records import Annotation
from .plots import Comparison
from .protocols import Evaluator
from .rows import Row

log = logging.getLogger(__name__)
READ_AHEAD = 4  # images
Metrics = dict[str, float]


@dataclass(frozen=True, slots=True)
class Score:
    """Per-object metrics of an image, 0 to 1, for a prompt and mask output; means over sampled prompts.

    `curve` is the boundary IoU at each width, or the IoU after each click; `empty` the number of masks without a pixel;
    `predicted_iou` the model's own score of each object's mask, if it has one.
    """

    prompt: str
    mask_output: str
    objects: list[Metrics]
    curve: list[float] = field(default_factory=list)
    empty: int = 0
    predicted_iou: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ImageScores:
    """All scores of an image, or its error; detections, for average precision, are by mask output."""

    name: str
    scores: list[Score] = field(default_factory=list)
    detections: dict[str, list[Annotation]] = field(default_factory=dict)
    image_id: int | None = None
    error: str | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ImageScores:
        """Parse a record of the log."""
        return cls(**{**values, "scores": [Score(**score) for score in values["scores"]]})


@dataclass(frozen=True, slots=True)
class ImageLine:
    """Mean metrics of an image for a model, prompt and mask output, or its error."""

    model: str
    dataset: str
    image: str
    prompt: str = ""
    mask_output: str = ""
    metrics: Metrics = field(default_factory=dict)
    error: str = ""


def image_lines(model: str, dataset: str, images: Sequence[ImageScores]) -> Iterator[ImageLine]:
    """Yield the lines of a dataset."""
    for image in images:
        if image.error is not None:
            yield ImageLine(model, dataset, image.name, error=image.error)
        for own in image.scores:
            names = own.objects[0] if own.objects else ()
            metrics = {name: float(np.mean([one[name] for one in own.objects])) for name in names}
            yield ImageLine(model, dataset, image.name, own.prompt, own.mask_output, metrics)


def empty_notes(title: str, images: Sequence[ImageScores]) -> list[str]:
    """Messages about images with empty predicted masks, by mask output."""
    names: dict[str, list[str]] = defaultdict(list)
    for image in images:
        for output in dict.fromkeys(own.mask_output for own in image.scores if own.empty):
            names[output].append(image.name)
    texts: list[str] = []
    for output, own in names.items():
        note(texts, f"{title}: images with empty predicted masks, {output}", own)
    return texts


class Named(Protocol):
    """An image of a dataset."""

    @property
    def name(self) -> str: ...


Item = TypeVar("Item", bound=Named)
Loaded = TypeVar("Loaded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task(ABC, Generic[Item, Loaded]):
    """A dataset and a model to evaluate on it; `problems` describe ground truth that is not scored."""

    key: str
    items: Sequence[Item]
    evaluator: Evaluator
    problems: Sequence[str] = ()

    @abstractmethod
    def load(self, item: Item) -> Loaded:
        """Read an image and its ground truth; thread-safe. Raises an ImageError."""

    @abstractmethod
    def score(self, item: Item, loaded: Loaded) -> ImageScores:
        """Predict and score the masks of an image. Raises an ImageError."""

    def comparison(self, item: Item) -> Comparison:
        """Return an image with its ground truth and masks; not available for videos."""
        raise NotImplementedError

    def notes(self, images: Sequence[ImageScores]) -> list[str]:
        """Messages about what the table does not count of scored images."""
        return []

    @abstractmethod
    def rows(self, images: Sequence[ImageScores]) -> list[Row]:
        """Compute the table rows from the images that could be scored."""


class ScoreLog:
    """Scores on disk, one JSON line per image, to resume an interrupted evaluation.

    With `resume`, `images` holds earlier scores, without failed images. Raises an HqsamError if the file cannot be
    written.
    """

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path: Path | None = path
        self.images: dict[str, ImageScores] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = path.read_bytes().splitlines(keepends=True) if resume and path.exists() else []
            kept = b"".join(self._read(lines))
            path.write_bytes(kept)
        except OSError as error:
            if resume:
                raise HqsamError(f"cannot be written ({error.strerror})", file=path) from None
            log.warning("%s cannot be written; set XDG_CACHE_HOME to be able to `resume`", path)
            self.path = None

    def _read(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Parse complete lines; yields the lines without an error."""
        for line in lines:
            try:
                image = ImageScores.from_dict(json.loads(line))
            except (ValueError, TypeError, KeyError):  # truncated by a crash
                return
            if image.error is None:
                self.images[image.name] = image
                yield line

    def append(self, image: ImageScores) -> None:
        """Add an image; flushed to disk on return."""
        self.images[image.name] = image
        if self.path is None:
            return
        try:
            with open(self.path, "ab") as file:
                file.write(json.dumps(asdict(image)).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise HqsamError(
                f"cannot be written ({error.strerror})", file=self.path, remedy="free disk space"
            ) from None


def score_images(task: Task[Item, Loaded], items: Sequence[Item]) -> Generator[ImageScores, None, None]:
    """Yield the scores of images, or their errors, in order; images are read ahead on threads."""
    with ThreadPoolExecutor(READ_AHEAD) as pool:
        waiting = deque(pool.submit(task.load, item) for item in items[:READ_AHEAD])
        try:
            for number, item in enumerate(items, READ_AHEAD):
                waiting.extend(pool.submit(task.load, ahead) for ahead in items[number : number + 1])
                try:
                    scores = task.score(item, waiting.popleft().result())
                except ImageError as error:
                    scores = ImageScores(item.name, error=str(error))
                yield scores
        finally:
            pool.shutdown(cancel_futures=True)
