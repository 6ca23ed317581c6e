"""What a run does with a group of images: masks of their prompts, boxes, or masks of boxes that are found first."""

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
    """An image ready for a model, or the sentence that says why it is not.

    Attributes:
        fingerprint: what its results depend on beside the identity of the run; see `fingerprint`.
        files: that it has in the output.
        pixels: RGB uint8 (H, W, 3).
        resized: the same as a model sees it, where a step takes it so.
        prompts: fit to the image.
        problems: sentences about prompts that were left out.
        failure: why there are no pixels, or what failed on them.
        seconds: that each stage took; the model's are a share of its group's.
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
        """Note how long a stage takes."""
        began = time.monotonic()
        yield
        self.seconds[stage] = round(time.monotonic() - began, 4)


class Step(Protocol[Result]):
    """What is done with the images.

    Attributes:
        categories: COCO categories of the results.
    """

    categories: list[Category]

    def prepare(self, item: DecodedImage) -> None:
        """Do with an image that is decoded what no model has to wait for; called from several threads."""

    def results(self, group: list[DecodedImage]) -> list[list[Result]]:
        """Results of each image of a group; one that fails gets an error and no results."""

    def finished(self, results: list[Result]) -> list[Result]:
        """The results of an image as they are written; called from several threads."""

    def annotations(self, item: DecodedImage, results: list[Result]) -> list[Annotation]:
        """COCO annotations of finished results of an image; an ImageError says what is wrong with them."""


class PredictsMasks(Protocol):
    """What a step needs of a `Predictor`."""

    def resize(self, image: np.ndarray) -> ResizedImage: ...

    def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]: ...


class DetectsObjects(Protocol):
    """What a step needs of a `Detector`."""

    categories: list[Category]

    def detect(self, images: list[np.ndarray]) -> list[list[Prompt]]: ...


class GeneratesMasks(Protocol):
    """What a step needs of a `MaskGenerator`."""

    def generate(self, images: list[np.ndarray]) -> list[list[Instance]]: ...


class Segment:
    """Masks of the prompts that the images have."""

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
            raise ImageError("the model's numbers overflowed", file=item.source.path, remedy="pass `dtype` float32")
        return [
            make_annotation(
                instance, item.image_id, multimask=self.config.multimask, tolerance=self.config.polygons.tolerance
            )
            for instance in results
        ]


class Detect:
    """Boxes that a detector finds.

    Args:
        known: categories of another file, whose ids those of the same name get.
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
        """See `Step`: there is nothing to do."""

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
    """Masks of the boxes that a detector finds, each image decoded once."""

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
    """Masks of what the predictor finds by itself, and of the boxes that a detector finds beside it."""

    def results(self, group: list[DecodedImage]) -> list[list[Instance]]:
        """See `Step`; the masks of an image are numbered anew, since not all are of the detector."""
        return _numbered(self.selection, group, super().results(group))


class SegmentEverything(Segment):
    """Masks of all there is in an image."""

    def __init__(self, generator: GeneratesMasks, config: SegmentConfig) -> None:
        self.generator, self.categories, self.config = generator, [DEFAULT_CATEGORY], config
        self.selection = Selection(config.detection.score_threshold, config.detection.max_det)

    def prepare(self, item: DecodedImage) -> None:
        """See `Step`: its crops are resized one by one."""

    def results(self, group: list[DecodedImage]) -> list[list[Instance]]:
        """See `Step`."""
        found = _ask(group, lambda items: self.generator.generate(_pixels(items)))
        return _numbered(self.selection, group, found)


def _numbered(selection: Selection, group: list[DecodedImage], found: list[list[Instance]]) -> list[list[Instance]]:
    """The masks of each image that the selection keeps, with ids."""
    return [selection.number_masks(item.source.file_name, own) for item, own in zip(group, found, strict=True)]


def _ask(group: list[DecodedImage], ask: Callable[[list[DecodedImage]], list[list[Result]]]) -> list[list[Result]]:
    """What a model says of a group; if it fails on it, of each image alone, so that one cannot harm the rest."""
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
        remedy = "see `debug`, and report it"
        item.failure = Failure(item.source.path, "the model failed on it", first_line(error), remedy)
        return []


def _pixels(items: list[DecodedImage]) -> list[np.ndarray]:
    return [item.pixels for item in items if item.pixels is not None]
