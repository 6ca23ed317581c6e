"""Object proposals without prompts, from a grid of points and a detector's boxes.

Point prompts are cheap while only SAM's own three masks are needed, at decoder resolution. Masks with a high predicted
IoU and stability score become box prompts, like a detector's boxes, unless they are duplicates. Their masks are ordered
and cut by their objectness.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from ..configs import ObjectsConfig, Windows
from ..modeling.mask_quality import stability_score
from ..progress import SILENT
from ..records import Box, Instance, MaskCrop, Prompt
from .crops import Crop, Found, Window, in_crops, is_too_large, merged, source_of, view, window_crops
from .everything import point_grid
from .objectness import Objectness
from .postprocess import SCALE
from .prediction import AnyImage
from .predictor import EncodedImages, Predictor
from .preprocess import ResizedImage, ResizeLongestSide
from .windows import with_windows

Detect: TypeAlias = Callable[[list[np.ndarray]], list[list[Prompt]]]


class ObjectPredictor:
    """Segments the objects proposed by a grid of points, and those of a detector that are not among them.

    Point proposals come first because their boxes are tight: a small detector's box of the same object is looser, and
    its box of a group hides the members.

    Args:
        predictor: with `choice` `single`.
        objectness: scores, orders and cuts the masks; None for all masks, those of points first.
        detect: returns the boxes in images, RGB uint8 (H, W, 3); None without a detector.
        windows: see `window_crops`; `auto` also segments the objects again in windows around them, as those of given
            boxes, in large images that are not searched in windows.
        on_part: is passed the fraction of crops that are done of the current images, if they have several.
    """

    def __init__(
        self,
        predictor: Predictor,
        config: ObjectsConfig,
        objectness: Objectness | None,
        detect: Detect | None = None,
        *,
        windows: Windows = "off",
        on_part: Callable[[float], None] = SILENT.on_part,
    ) -> None:
        self.predictor, self.config, self.resize = predictor, config, predictor.resize
        self.objectness, self.detect = objectness, detect
        self.windows, self.on_part = windows, on_part
        self.refiner = with_windows(predictor, windows) if windows == "auto" else None
        self.at_points = Predictor(
            predictor.model,
            mask_output="sam",
            choice="all",
            dtype=predictor.dtype,
            prompts_per_batch=predictor.prompts_per_batch,
        )

    def generate(self, images: Sequence[AnyImage]) -> list[list[Instance]]:
        """Generate instances for images, by descending objectness if there is one; a batch is encoded at once on a GPU.

        Their prompts are the boxes. Masks of several crops are merged as in `MaskGenerator`.
        """
        if len(images) > 1 and self.predictor.on_cpu:  # see `Predictor.predict_batch`
            return [self.generate([image])[0] for image in images]
        shapes = [source_of(image).shape for image in images]
        layouts = [list(window_crops(shape, self.predictor.image_size, self.windows)) for shape in shapes]
        total, done = sum(map(len, layouts)), 0

        def find(crops: Sequence[Crop]) -> list[list[Found]]:
            nonlocal done
            views = [view(images[crop.row], crop.window) for crop in crops]
            are_whole = [len(layouts[crop.row]) == 1 for crop in crops]
            made = [
                [_placed(own, crop.window, shapes[crop.row]) for own in instances]
                for crop, instances in zip(crops, self._in_views(views, are_whole), strict=True)
            ]
            done += len(crops)
            if total > len(images):
                self.on_part(done / total)
            return [[own for own in masks if not own.is_cut] for masks in made]

        return in_crops(layouts, find, self._merged)

    def _in_views(self, images: Sequence[AnyImage], are_whole: Sequence[bool]) -> list[list[Instance]]:
        """Instances of images, in their own pixels.

        Args:
            are_whole: whether each image is all that is searched, and not a window.
        """
        encoded = self.predictor.encode(images)
        detected = [[] for _ in images] if self.detect is None else _detected(self.detect, encoded.images)
        proposed = [[Prompt(box=box) for box in self.propose(encoded, row=row)] for row in range(len(images))]
        prompts = [
            [[own for own in prompts if not is_too_large(_area(own), image.source)] for prompts in both]
            for image, *both in zip(encoded.images, proposed, detected, strict=True)
        ]
        found = self.predictor.decode(encoded, [[*points, *boxes] for points, boxes in prompts])
        kept = [
            [instances[n] for n in distinct([own.mask for own in instances], self.config, wholes=len(points))]
            for instances, (points, _) in zip(found, prompts, strict=True)
        ]
        scored = [self._scored(encoded, row, instances) for row, instances in enumerate(kept)]
        return self._refined(encoded, scored, are_whole)

    def _refined(
        self, encoded: EncodedImages, found: list[list[Instance]], are_whole: Sequence[bool]
    ) -> list[list[Instance]]:
        """Instances with the masks of windows around them, in large images that are not windows themselves."""
        if self.refiner is None:
            return found
        sizes = [max(image.source.shape[:2]) for image in encoded.images]
        large = [is_whole and size >= self.refiner.smallest for is_whole, size in zip(are_whole, sizes, strict=True)]
        if not any(large):
            return found
        prompts = [[own.prompt for own in found[row]] if is_large else [] for row, is_large in enumerate(large)]
        again = self.refiner.decode(encoded, prompts)
        return [
            [replace(new, objectness=own.objectness) for own, new in zip(before, after, strict=True)]
            if is_large
            else before
            for before, after, is_large in zip(found, again, large, strict=True)
        ]

    def _merged(self, found: list[Found], crops: int) -> list[Found]:
        """Merge the masks of all crops of an image, without duplicates."""
        if crops == 1:
            return found
        found = merged(sorted(found, key=lambda own: -own.instance.score), self.config.duplicate_iou)
        return found if self.objectness is None else sorted(found, key=lambda own: -own.instance.score)

    def propose(self, encoded: EncodedImages, known: Sequence[MaskCrop] = (), *, row: int = 0) -> list[Box]:
        """Propose boxes, in image pixels, from point prompts.

        Args:
            known: masks in the image; their points are skipped, and their duplicates and parts are not proposed.
            row: of the image in `encoded`.
        """
        resize = encoded.resizes[row]
        height, width = _low_res_size(resize)
        known, proposed = [MaskCrop.whole(to_low_res(mask, resize)) for mask in known], list[MaskCrop]()
        for side in self.config.grid_points:
            covered = np.zeros((height, width), bool)
            for mask in (*known, *proposed):
                covered |= mask.bits
            grid = point_grid(side)
            rows, columns = (grid[:, ::-1] * [height, width]).astype(int).T
            points = (grid * [resize.width, resize.height])[~covered[rows, columns]]
            masks = [*known, *proposed, *self._masks_at(encoded, row, points, height, width)]
            proposed = [masks[n] for n in distinct(masks, self.config, known=len(known)) if n >= len(known)]
        scale_x, scale_y = SCALE * resize.width / resize.input_width, SCALE * resize.height / resize.input_height
        return [
            (x * scale_x, y * scale_y, min((x + w) * scale_x, resize.width), min((y + h) * scale_y, resize.height))
            for x, y, w, h in (mask.tight_box() for mask in proposed)
        ]

    def _scored(self, encoded: EncodedImages, row: int, instances: list[Instance]) -> list[Instance]:
        """Instances of an image with their objectness, by descending score, without those below `min_score`."""
        if self.objectness is None:
            return instances
        masks = [to_low_res(own.mask, encoded.resizes[row]) for own in instances]
        scores = self.objectness(encoded.features.embedding[row], masks, [own.predicted_iou for own in instances])
        scored = [replace(own, objectness=float(score)) for own, score in zip(instances, scores, strict=True)]
        return sorted((own for own in scored if own.score >= self.config.min_score), key=lambda own: -own.score)

    def _masks_at(
        self, encoded: EncodedImages, row: int, points: np.ndarray, height: int, width: int
    ) -> list[MaskCrop]:
        """SAM's low-resolution masks (h, w) at points (n, 2) that pass both thresholds, by descending predicted IoU."""
        threshold, found = self.config.grid_iou, list[tuple[float, np.ndarray]]()
        prompts = [(row, Prompt(points=np.array([[x, y, 1.0]]))) for x, y in points]
        for _, outputs in self.at_points.logits(encoded, prompts, ["sam"], iou_threshold=threshold):
            logits, predicted_iou = outputs["sam"]
            confident = predicted_iou > threshold
            logits, predicted_iou = logits[confident][:, :height, :width], predicted_iou[confident]
            stable = stability_score(logits) >= self.config.grid_stability
            found += zip(predicted_iou[stable].tolist(), (logits[stable] > 0).cpu().numpy(), strict=True)
        found.sort(key=lambda own: -own[0])
        return [MaskCrop.whole(bits) for _, bits in found]


def _detected(detect: Detect, images: Sequence[ResizedImage]) -> list[list[Prompt]]:
    """Boxes of a detector, which sees those images as resized that are not in memory."""
    seen = [own.source if isinstance(own.source, np.ndarray) else own.pixels.astype(np.uint8) for own in images]
    found = []
    for image, pixels, prompts in zip(images, seen, detect(seen), strict=True):
        y, x = (length / own for length, own in zip(image.source.shape[:2], pixels.shape[:2], strict=True))
        found.append(
            [
                replace(own, box=(own.box[0] * x, own.box[1] * y, own.box[2] * x, own.box[3] * y))
                for own in prompts
                if own.box
            ]
        )
    return found


def _area(prompt: Prompt) -> float:
    """Pixels of the box of a prompt."""
    assert prompt.box is not None
    x0, y0, x1, y1 = prompt.box
    return (x1 - x0) * (y1 - y0)


def _placed(instance: Instance, crop: Window, shape: tuple[int, ...]) -> Found:
    """An instance in a crop as one of its image of shape (H, W, 3)."""
    assert instance.prompt.box is not None
    x0, y0, x1, y1 = instance.prompt.box
    box = x0 + crop.x0, y0 + crop.y0, x1 + crop.x0, y1 + crop.y0
    return Found.of(crop.placed(instance, replace(instance.prompt, box=box), *shape[:2]), crop)


def distinct(
    masks: Sequence[MaskCrop], config: ObjectsConfig, *, known: int = 0, wholes: int | None = None
) -> list[int]:
    """Indices of masks to keep, without duplicates of earlier masks and small parts of others.

    Args:
        known: the first `known` masks are kept even if they are parts.
        wholes: only the first `wholes` masks may have parts, None for all; a detector's box may be a group, whose
            members are objects.
    """
    from pycocotools import mask as coco_mask

    if not masks:
        return []
    rles = [mask.rle for mask in masks]
    areas = np.array([np.count_nonzero(mask.bits) for mask in masks])  # `coco_mask.area` takes up to 255 at once
    iou = coco_mask.iou(rles, rles, [0] * len(rles))
    contained = coco_mask.iou(rles, rles, [1] * len(rles))  # fraction of the first mask inside the second
    kept: list[int] = []
    for n in range(len(masks)):
        if areas[n] and not (iou[n, kept] > config.duplicate_iou).any():
            kept.append(n)
    return [
        n
        for n in kept
        if n < known
        or not any(
            contained[n, other] > config.part and areas[n] < config.part_size * areas[other]
            for other in kept
            if wholes is None or other < wholes
        )
    ]


def to_low_res(mask: MaskCrop, resize: ResizeLongestSide) -> np.ndarray:
    """Downscale a mask to decoder resolution without padding, bool (h, w), to the nearest pixel as in OpenCV."""
    height, width = _low_res_size(resize)
    low_res = np.zeros((height, width), bool)
    rows, y = _samples(height, mask.height, mask.y, mask.bits.shape[0])
    columns, x = _samples(width, mask.width, mask.x, mask.bits.shape[1])
    low_res[rows, columns] = mask.bits[y[:, None], x]
    return low_res


def _samples(count: int, length: int, start: int, size: int) -> tuple[slice, np.ndarray]:
    """Of `count` samples of an axis of `length` pixels, those in `size` pixels from `start`, and their places there."""
    places = np.floor(np.arange(count) * (1 / (count / length))).astype(int) - start
    first, end = np.searchsorted(places, [0, size])
    return slice(first, end), places[first:end]


def _low_res_size(resize: ResizeLongestSide) -> tuple[int, int]:
    """Height and width at decoder resolution, without padding."""
    return -(-resize.input_height // SCALE), -(-resize.input_width // SCALE)
