"""Datasets with many objects per image, prompted with boxes.

The score of a mask is its box score times the predicted IoU (HQ-SAM, supplement).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..configs import Exif, MaskOutput
from ..data.pairs import read_fitting
from ..errors import ImageError
from ..formats.segmentation import decode_segmentation
from ..io.images import read_image
from ..records import Annotation, MaskCrop, Prompt
from .coco_set import CocoSet, GTImage, GTObject
from .metrics import score
from .plots import Comparison
from .precision import limit_notes, precision_figures
from .protocols import Masks
from .rows import Row, select_scores, summarize
from .scores import ImageScores, Score, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceTask(Task[GTImage, np.ndarray]):
    """Evaluation on a COCO-style dataset; with `from_gt` the prompts are ground truth boxes, each with its mask."""

    coco_set: CocoSet
    from_gt: bool
    exif: Exif = "apply"

    def load(self, item: GTImage) -> np.ndarray:
        """Read an image as uint8 RGB (H, W, 3), in the orientation of the size in the JSON file."""
        if item.given_size is None:
            return read_image(str(item.path), exif=self.exif)
        return read_fitting(item.path, item.given_size[::-1], self.exif)

    def score(self, item: GTImage, loaded: np.ndarray) -> ImageScores:
        """See `Task`."""
        size = (loaded.shape[1], loaded.shape[0])
        if item.boxes and item.given_size not in (None, size):
            reason = f"is {size[0]}x{size[1]}, in the data set {item.given_size}"
            raise ImageError(reason, file=item.path, remedy="download it again")
        gts = _gt_masks(item, [box.gt for box in item.boxes if box.gt is not None], size)
        scores: list[Score] = []
        detections: dict[str, list[Annotation]] = {}
        for output, (masks, estimates) in self._masks(item, loaded).items():
            detections[output] = [
                Annotation(
                    image_id=item.image_id,
                    category_id=box.category_id,
                    segmentation=MaskCrop.whole(mask).rle,
                    score=box.score * estimate,
                )
                for box, mask, estimate in zip(item.boxes, masks, estimates, strict=True)
            ]
            objects = [score(mask, gt) for mask, gt in zip(masks, gts, strict=True)] if self.from_gt else []
            empty = sum(not mask.any() for mask in masks)
            scores.append(Score("box", output, objects, empty=empty, predicted_iou=estimates if self.from_gt else []))
        return ImageScores(item.name, scores, detections, item.image_id)

    def _masks(self, item: GTImage, pixels: np.ndarray) -> dict[MaskOutput, Masks]:
        """Masks and predicted IoUs for the boxes, by mask output."""
        if not item.boxes:
            return {output: ([], []) for output in self.evaluator.outputs}
        corners = [(x, y, x + width, y + height) for x, y, width, height in (box.bbox for box in item.boxes)]
        prompts = [Prompt(n, box=own) for n, own in enumerate(corners)]
        return self.evaluator.masks(self.evaluator.prepare(pixels), prompts)

    def rows(self, images: Sequence[ImageScores]) -> list[Row]:
        """See `Task`: average precision, and means over objects if each mask has its ground truth."""
        made = []
        prompt = "ground-truth boxes" if self.from_gt else "detections"
        for output in self.evaluator.outputs:
            scores = select_scores(images, "box", output)
            figures, samples = summarize(scores)
            figures |= precision_figures(self.coco_set, images, output)
            made.append(Row(self.key, prompt, output, len(scores), figures, samples=samples))
        return made

    def notes(self, images: Sequence[ImageScores]) -> list[str]:
        """See `Task`."""
        return limit_notes(self.coco_set, images, self.evaluator.outputs[0])

    def comparison(self, item: GTImage) -> Comparison:
        """Return an image with its objects and the predicted masks."""
        pixels = self.load(item)
        gts = _gt_masks(item, [o for o in item.objects if not o.iscrowd], (pixels.shape[1], pixels.shape[0]))
        return Comparison(pixels, gts, {output: masks for output, (masks, _) in self._masks(item, pixels).items()})


def _gt_masks(image: GTImage, objects: Sequence[GTObject], size: tuple[int, int]) -> list[np.ndarray]:
    """Decode the masks of objects, bool (H, W)."""
    masks = []
    for item in objects:
        try:
            masks.append(decode_segmentation(item.segmentation, *size))
        except ValueError as error:
            raise ImageError(f"the mask of annotation {item.name} {error}", file=image.path) from None
    return masks
