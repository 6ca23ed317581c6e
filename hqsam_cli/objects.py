"""The objects of an image where nobody says which: masks of a detector's boxes, and of points that these leave out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .configs import EverythingConfig, ObjectsConfig
from .everything import MaskGenerator, choice_at_points
from .formats.segmentation import encode_crop
from .predictor import Predictor
from .records import Instance, Prompt


class ObjectPredictor:
    """Masks of prompts, as a `Predictor` makes them, and then those of objects that no prompt is about.

    Args:
        predictor: of one mask a prompt.
    """

    def __init__(self, predictor: Predictor, config: ObjectsConfig) -> None:
        self.predictor, self.config = predictor, config
        at_points = Predictor(
            predictor.model,
            mask_output=predictor.mask_output,
            choice=choice_at_points(predictor.mask_output),
            dtype=predictor.dtype,
            prompts_per_batch=predictor.prompts_per_batch,
        )
        grid = EverythingConfig(
            pred_iou_thresh=config.grid_iou,
            stability_score_thresh=config.grid_stability,
        )
        self.generator = MaskGenerator(at_points, grid)

    def predict_batch(self, images: list[np.ndarray], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        """See `Predictor.predict_batch`; each image is encoded once, by itself."""
        return [self._objects(image, own) for image, own in zip(images, prompts, strict=True)]

    def _objects(self, image: np.ndarray, prompts: list[Prompt]) -> list[Instance]:
        encoded = self.predictor.encode([image], hq=self.predictor.mask_output != "sam")
        detected = [instance for _, instance in self.predictor.instances(encoded, [(0, p) for p in prompts])]
        covered = np.zeros(image.shape[:2], bool)
        found, latest = list(detected), detected
        for side in self.config.grid_points:
            for mask in (instance.mask for instance in latest):
                covered[mask.y : mask.y + mask.bits.shape[0], mask.x : mask.x + mask.bits.shape[1]] |= mask.bits
            latest = self.generator.generate_outside(image, encoded, covered, side)
            found += latest
        return [found[place] for place in distinct(found, len(detected), self.config)]


def distinct(instances: Sequence[Instance], detected: int, config: ObjectsConfig) -> list[int]:
    """Which of some masks stay: none that is a copy of one before it, and no part that nobody detected.

    Args:
        detected: how many are of a detector; they come first.
    """
    from pycocotools import mask as coco_mask

    if not instances:
        return []
    rles = [encode_crop(instance.mask) for instance in instances]
    areas = coco_mask.area(rles)
    iou = coco_mask.iou(rles, rles, [0] * len(rles))
    share = coco_mask.iou(rles, rles, [1] * len(rles))  # of the first that lies in the second
    kept: list[int] = []
    for place in range(len(instances)):
        if areas[place] and not (iou[place, kept] > config.duplicate_iou).any():
            kept.append(place)
    return [
        place
        for place in kept
        if place < detected
        or not any(share[place, other] > config.part and areas[other] > areas[place] for other in kept)
    ]
