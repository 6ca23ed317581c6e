"""Steps of a run on a batch of images: segmentation, detection, or both."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

import numpy as np

from ..configs import CleanConfig, SegmentConfig
from ..errors import ImageError
from ..formats.coco import make_detection
from ..formats.polygons import mask_polygons
from ..inference.exclusive import exclusive
from ..inference.preprocess import ResizedImage
from ..inference.regions import clean
from ..io.find import SourceImage
from ..io.output_folder import ImageFiles
from ..io.rasters import Raster
from ..prompts.table import Selection
from ..records import Annotation, Category, Failure, GeoKeys, ImagePrompts, Instance, Prompt

Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class WorkItem:
    """An image to process, and what its worker makes of it.

    Attributes:
        given: its prompts in files.
        files: its files in the output.
        fingerprint: of its pixels and prompts; see `fingerprint`.
        pixels: RGB uint8 (H, W, 3), or a file that is read in windows.
        geo: its georeference, if it is a GeoTIFF.
        resized: the image at the model's input size, if the step needs it.
        prompts: fit to the image.
        problems: messages about skipped prompts.
        failure: why there are no pixels, or what failed on them.
        seconds: per stage; model time is the batch time divided by its size.
    """

    source: SourceImage
    given: ImagePrompts
    files: ImageFiles
    fingerprint: str = ""
    pixels: np.ndarray | Raster | None = None
    geo: GeoKeys = field(default_factory=GeoKeys)
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


def in_memory(pixels: np.ndarray | Raster) -> np.ndarray:
    """The pixels of an image that was decoded as a whole; an ImageError for others."""
    if isinstance(pixels, Raster):
        height, width, _ = pixels.shape
        remedy = "pass their boxes, raise `max_pixels`, or cut it into tiles"
        raise ImageError("too large to find objects in", detail=f"{width} x {height} pixels", remedy=remedy)
    return pixels


def _decoded(group: Sequence[WorkItem]) -> list[np.ndarray]:
    """The pixels of images that passed `in_memory`."""
    return [item.pixels for item in group if isinstance(item.pixels, np.ndarray)]


class Step(Protocol[Result]):
    """Processing of decoded images.

    Attributes:
        categories: COCO categories of the results.
    """

    categories: list[Category]

    def prepare(self, pixels: np.ndarray | Raster, prompts: list[Prompt]) -> ResizedImage | None:
        """Resize a decoded image, if the step needs it; called from several threads.

        Raises:
            ImageError: the image is too large for the step.
        """

    def results(self, group: list[WorkItem]) -> list[list[Result]]:
        """Compute the results of each image of a batch; all images are decoded. Models may raise any exception."""

    def finish(self, item: WorkItem, results: list[Result]) -> tuple[list[Result], list[Annotation]]:
        """Postprocess the results of an image, and convert them to COCO annotations; called from several threads.

        Raises:
            ImageError: they are invalid.
        """


class PredictsMasks(Protocol):
    """The part of `Predictor` used by a step."""

    def resize(self, image: np.ndarray | Raster) -> ResizedImage: ...

    def predict_batch(self, images: list[ResizedImage], prompts: list[list[Prompt]]) -> list[list[Instance]]: ...


class DetectsObjects(Protocol):
    """The part of `Detector` used by a step."""

    categories: list[Category]

    def detect(self, images: list[np.ndarray]) -> list[list[Prompt]]: ...


class GeneratesMasks(Protocol):
    """The part of `MaskGenerator`, `ObjectPredictor` and `SalientPredictor` used by a step."""

    def resize(self, image: np.ndarray | Raster) -> ResizedImage: ...

    def generate(self, images: list[ResizedImage]) -> list[list[Instance]]: ...


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

    def prepare(self, pixels: np.ndarray | Raster, prompts: list[Prompt]) -> ResizedImage | None:
        """See `Step`."""
        return self.predictor.resize(pixels) if prompts else None

    def results(self, group: list[WorkItem]) -> list[list[Instance]]:
        """See `Step`."""
        asked = [(item.resized, item.prompts) for item in group if item.resized is not None]
        made = iter(self.predictor.predict_batch([image for image, _ in asked], [prompts for _, prompts in asked]))
        return [[] if item.resized is None else next(made) for item in group]

    def finish(self, item: WorkItem, results: list[Instance]) -> tuple[list[Instance], list[Annotation]]:
        """See `Step`."""
        if not all(math.isfinite(instance.predicted_iou) for instance in results):
            raise ImageError("the model's output overflowed", file=item.source.path, remedy="use `dtype` float32")
        cleaning, tolerance = self.config.cleaning, self.config.polygons.tolerance
        if not cleaning.raw:
            results = [_cleaned(own, cleaning) for own in results]
        if cleaning.exclusive:
            results = exclusive(results)
        annotations = [own.to_coco(item.given.image_id, multimask=self.config.multimask) for own in results]
        if tolerance is not None:
            for own, annotation in zip(results, annotations, strict=True):
                annotation["polygons"] = mask_polygons(own.mask, tolerance, self.config.polygon_formats)
        return results, annotations


def _cleaned(instance: Instance, config: CleanConfig) -> Instance:
    """An instance whose mask, and that of plain SAM, are cleaned alike, so that both remain comparable."""
    sam = None if instance.sam is None else _cleaned(instance.sam, config)
    return replace(instance, mask=clean(instance.mask, config), sam=sam)


class Detect:
    """Predicts boxes with a detector.

    Args:
        categories: of the results, those of the detector in its order; see `renumber_categories`.
    """

    def __init__(self, detector: DetectsObjects, selection: Selection, categories: list[Category]) -> None:
        self.detector, self.selection, self.categories = detector, selection, categories
        pairs = zip(detector.categories, categories, strict=True)
        self.numbers = {category["id"]: renumbered["id"] for category, renumbered in pairs}
        self.names = {category["id"]: category.get("name") for category in self.categories}

    def prepare(self, pixels: np.ndarray | Raster, prompts: list[Prompt]) -> None:
        """See `Step`: nothing to do."""
        in_memory(pixels)

    def results(self, group: list[WorkItem]) -> list[list[Prompt]]:
        """See `Step`."""
        found = self.detector.detect(_decoded(group))
        renumbered = [[replace(p, category_id=self.numbers[p.category_id]) for p in own] for own in found]
        pairs = zip(group, renumbered, strict=True)
        return [self.selection.number(item.source.file_name, own) for item, own in pairs]

    def finish(self, item: WorkItem, results: list[Prompt]) -> tuple[list[Prompt], list[Annotation]]:
        """See `Step`."""
        return results, [make_detection(own, item.given.image_id, self.names.get(own.category_id)) for own in results]


class DetectAndSegment(Segment):
    """Predicts masks for a detector's boxes, in one pass."""

    def __init__(
        self, detector: DetectsObjects, predictor: PredictsMasks, categories: list[Category], config: SegmentConfig
    ) -> None:
        super().__init__(predictor, categories, config)
        self.detection = Detect(detector, self.selection, categories)

    def prepare(self, pixels: np.ndarray | Raster, prompts: list[Prompt]) -> ResizedImage | None:
        """See `Step`."""
        return self.predictor.resize(in_memory(pixels))

    def results(self, group: list[WorkItem]) -> list[list[Instance]]:
        """See `Step`."""
        for item, prompts in zip(group, self.detection.results(group), strict=True):
            item.prompts = prompts
        return super().results(group)


class SegmentUnprompted(Segment):
    """Predicts masks without prompts, which have ids of their own and the only category."""

    def __init__(self, generator: GeneratesMasks, categories: list[Category], config: SegmentConfig) -> None:
        self.generator, self.categories, self.config = generator, categories, config
        self.selection = Selection(config.detection.score_threshold, config.detection.max_det)

    def prepare(self, pixels: np.ndarray | Raster, prompts: list[Prompt]) -> ResizedImage:
        """See `Step`."""
        return self.generator.resize(pixels)

    def results(self, group: list[WorkItem]) -> list[list[Instance]]:
        """See `Step`."""
        found = self.generator.generate([item.resized for item in group if item.resized is not None])
        category_id = self.categories[0]["id"]
        categorized = [[replace(m, prompt=replace(m.prompt, category_id=category_id)) for m in own] for own in found]
        pairs = zip(group, categorized, strict=True)
        return [self.selection.number_masks(item.source.file_name, own) for item, own in pairs]


class SegmentSalient(SegmentUnprompted):
    """Predicts one mask per image, of its most salient object."""

    def prepare(self, pixels: np.ndarray | Raster, prompts: list[Prompt]) -> ResizedImage:
        """See `Step`."""
        return super().prepare(in_memory(pixels), prompts)
