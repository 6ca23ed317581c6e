"""Steps of a run on a batch of images: segmentation, detection, or both."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np

from ..configs import SegmentConfig
from ..configs.option import is_default
from ..errors import ImageError, first_line
from ..formats.annotations import make_annotation, make_detection
from ..formats.ownership import ImageFiles
from ..inference.preprocess import ResizedImage
from ..inference.regions import clean
from ..io.find import SourceImage
from ..prompts.categories import DEFAULT_CATEGORY, renumber_categories
from ..prompts.select import Selection
from ..records import Annotation, Category, Failure, Instance, Prompt

log = logging.getLogger(__name__)
Result = TypeVar("Result")


@dataclass(slots=True)
class DecodedImage:
    """A decoded image, or its error.

    Attributes:
        fingerprint: of its pixels and prompts; see `fingerprint`.
        files: its files in the output.
        pixels: RGB uint8 (H, W, 3).
        resized: the image at the model's input size, if the step needs it.
        prompts: fit to the image.
        problems: messages about skipped prompts.
        failure: why there are no pixels, or what failed on them.
        seconds: per stage; model time is the batch time divided by its size.
    """

    source: SourceImage
    image_id: int
    fingerprint: str
    files: ImageFiles = field(default_factory=ImageFiles)
    pixels: np.ndarray | None = None
    resized: ResizedImage | None = None
    prompts: list[Prompt] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    failure: Failure | None = None
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure the time of a stage."""
        began = time.monotonic()
        yield
        self.seconds[stage] = round(time.monotonic() - began, 4)


class Step(Protocol[Result]):
    """Processing of decoded images.

    Attributes:
        categories: COCO categories of the results.
    """

    categories: list[Category]

    def prepare(self, item: DecodedImage) -> None:
        """Preprocess a decoded image; called from several threads."""

    def results(self, group: list[DecodedImage]) -> list[list[Result]]:
        """Compute the results of each image of a batch; a failed image gets an error and no results."""

    def finished(self, results: list[Result]) -> list[Result]:
        """Postprocess the results of an image; called from several threads."""

    def annotations(self, item: DecodedImage, results: list[Result]) -> list[Annotation]:
        """Convert postprocessed results to COCO annotations; an ImageError if they are invalid."""


class PredictsMasks(Protocol):
    """The part of `Predictor` used by a step."""

    def resize(self, image: np.ndarray) -> ResizedImage: ...

    def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]: ...


class DetectsObjects(Protocol):
    """The part of `Detector` used by a step."""

    categories: list[Category]

    def detect(self, images: list[np.ndarray]) -> list[list[Prompt]]: ...


class GeneratesMasks(Protocol):
    """The part of `MaskGenerator` used by a step."""

    def generate(self, images: list[np.ndarray]) -> list[list[Instance]]: ...


class Segment:
    """Predicts masks for the prompts of images."""

    def __init__(
        self,
        predictor: PredictsMasks,
        categories: list[Category],
        config: SegmentConfig = SegmentConfig(),
    ) -> None:
        self.predictor, self.categories, self.config = predictor, categories, config
        self.selection = Selection(config.detection.score_threshold, config.detection.max_det)

    def prepare(self, item: DecodedImage) -> None:
        """See `Step`."""
        if item.prompts:
            self._resize(item)

    def results(self, group: list[DecodedImage]) -> list[list[Instance]]:
        """See `Step`."""
        return _ask(group, self._predict)

    def _resize(self, item: DecodedImage) -> None:
        assert item.pixels is not None
        item.resized = self.predictor.resize(item.pixels)

    def _predict(self, items: list[DecodedImage]) -> list[list[Instance]]:
        asked = [(item.resized, item.prompts) for item in items if item.resized is not None]
        made = iter(self.predictor.predict_batch([image for image, _ in asked], [prompts for _, prompts in asked]))
        return [[] if item.resized is None else next(made) for item in items]

    def finished(self, results: list[Instance]) -> list[Instance]:
        """See `Step`."""
        cleaning = self.config.cleaning
        return results if is_default(cleaning) else [replace(own, mask=clean(own.mask, cleaning)) for own in results]

    def annotations(self, item: DecodedImage, results: list[Instance]) -> list[Annotation]:
        """See `Step`."""
        if not all(math.isfinite(instance.predicted_iou) for instance in results):
            raise ImageError("the model's output overflowed", file=item.source.path, remedy="use `dtype` float32")
        return [
            make_annotation(
                instance,
                item.image_id,
                multimask=self.config.multimask,
                tolerance=self.config.polygons.tolerance,
                forms=self.config.polygon_formats,
            )
            for instance in results
        ]


class Detect:
    """Predicts boxes with a detector.

    Args:
        known: categories of another file, whose ids are used for those of the same name.
    """

    def __init__(
        self,
        detector: DetectsObjects,
        selection: Selection,
        known: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self.detector, self.selection = detector, selection
        self.numbers, self.categories = renumber_categories(detector.categories, known or ())
        self.names = {category["id"]: category.get("name") for category in self.categories}

    def prepare(self, item: DecodedImage) -> None:
        """See `Step`: nothing to do."""

    def results(self, group: list[DecodedImage]) -> list[list[Prompt]]:
        """See `Step`."""
        found = _ask(group, lambda items: self.detector.detect(_pixels(items)))
        renumbered = [[replace(p, category_id=self.numbers[p.category_id]) for p in own] for own in found]
        pairs = zip(group, renumbered, strict=True)
        return [self.selection.number(item.source.file_name, own) for item, own in pairs]

    def finished(self, results: list[Prompt]) -> list[Prompt]:
        """See `Step`."""
        return results

    def annotations(self, item: DecodedImage, results: list[Prompt]) -> list[Annotation]:
        """See `Step`."""
        return [make_detection(prompt, item.image_id, self.names.get(prompt.category_id)) for prompt in results]


class DetectAndSegment(Segment):
    """Predicts masks for a detector's boxes, in one pass."""

    def __init__(self, detector: DetectsObjects, predictor: PredictsMasks, config: SegmentConfig) -> None:
        super().__init__(predictor, detector.categories, config)
        self.detection = Detect(detector, self.selection)

    def prepare(self, item: DecodedImage) -> None:
        """See `Step`."""
        self._resize(item)

    def results(self, group: list[DecodedImage]) -> list[list[Instance]]:
        """See `Step`."""
        for item, prompts in zip(group, self.detection.results(group), strict=True):
            item.prompts = prompts
        return super().results(group)


class SegmentObjects(DetectAndSegment):
    """Predicts masks for objects proposed by point grids, and for a detector's boxes."""

    def results(self, group: list[DecodedImage]) -> list[list[Instance]]:
        """See `Step`; masks are renumbered, because not all come from the detector."""
        return _numbered(self.selection, group, super().results(group))


class SegmentEverything(Segment):
    """Predicts the masks of everything mode."""

    def __init__(self, generator: GeneratesMasks, config: SegmentConfig) -> None:
        self.generator, self.categories, self.config = generator, [DEFAULT_CATEGORY], config
        self.selection = Selection(config.detection.score_threshold, config.detection.max_det)

    def prepare(self, item: DecodedImage) -> None:
        """See `Step`: nothing to do, because crops are resized one by one."""

    def results(self, group: list[DecodedImage]) -> list[list[Instance]]:
        """See `Step`."""
        found = _ask(group, lambda items: self.generator.generate(_pixels(items)))
        return _numbered(self.selection, group, found)


def _numbered(selection: Selection, group: list[DecodedImage], found: list[list[Instance]]) -> list[list[Instance]]:
    """Select and number the masks of each image."""
    return [selection.number_masks(item.source.file_name, own) for item, own in zip(group, found, strict=True)]


def _ask(group: list[DecodedImage], ask: Callable[[list[DecodedImage]], list[list[Result]]]) -> list[list[Result]]:
    """Run a model on a batch; on failure, on each image separately, so that one image cannot fail the others."""
    usable = [item for item in group if item.failure is None]
    try:
        answers = iter(ask(usable))
    except MemoryError:
        raise
    except Exception:
        log.debug("the model failed on a group of images, which are now tried one by one", exc_info=True)
        answers = iter([_ask_alone(item, ask) for item in usable])
    made = {item.source.file_name: next(answers) for item in usable}
    return [made.get(item.source.file_name, []) for item in group]


def _ask_alone(item: DecodedImage, ask: Callable[[list[DecodedImage]], list[list[Result]]]) -> list[Result]:
    try:
        return ask([item])[0]
    except MemoryError:
        raise
    except Exception as error:
        log.debug("the model failed on %s", item.source.path, exc_info=True)
        remedy = "run with `debug`, and report it"
        item.failure = Failure(item.source.path, "the model failed", first_line(error), remedy)
        return []


def _pixels(items: list[DecodedImage]) -> list[np.ndarray]:
    return [item.pixels for item in items if item.pixels is not None]
