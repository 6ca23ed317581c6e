"""Object proposals without prompts, from a grid of points and a detector's boxes.

Point prompts are cheap while only SAM's own three masks are needed, at decoder resolution. Masks with a high predicted
IoU and stability score become box prompts, like a detector's boxes, unless they are duplicates. Their masks are ordered
and cut by their objectness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from ..configs import ObjectsConfig
from ..modeling.mask_quality import stability_score
from ..records import Box, Instance, MaskCrop, Prompt
from .everything import point_grid
from .objectness import Objectness
from .postprocess import SCALE
from .prediction import AnyImage
from .predictor import EncodedImages, Predictor
from .preprocess import ResizeLongestSide


class ObjectPredictor:
    """Predicts masks of the objects proposed by a grid of points, and of prompts that are not among them.

    Point proposals come first because their boxes are tight: a small detector's box of the same object is looser, and
    its box of a group hides the members.

    Args:
        predictor: with `choice` `single`.
        objectness: scores, orders and cuts the masks; None for all masks, those of points first.
    """

    def __init__(self, predictor: Predictor, config: ObjectsConfig, objectness: Objectness | None) -> None:
        self.predictor, self.config, self.resize = predictor, config, predictor.resize
        self.objectness = objectness
        self.at_points = Predictor(
            predictor.model,
            mask_output="sam",
            choice="all",
            dtype=predictor.dtype,
            prompts_per_batch=predictor.prompts_per_batch,
        )

    def predict_batch(self, images: Sequence[AnyImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        """See `Predictor.predict_batch`; all images are encoded, in one batch except on a CPU."""
        if len(images) != 1 and (not images or self.predictor.on_cpu):
            pairs = zip(images, prompts, strict=True)
            return [self.predict_batch([image], [image_prompts])[0] for image, image_prompts in pairs]
        encoded = self.predictor.encode(images)
        proposed = [[Prompt(box=box) for box in self.propose(encoded, row=row)] for row in range(len(images))]
        found = self.predictor.decode(encoded, [[*own, *others] for own, others in zip(proposed, prompts, strict=True)])
        kept = [
            [instances[n] for n in distinct([own.mask for own in instances], self.config, wholes=len(boxes))]
            for instances, boxes in zip(found, proposed, strict=True)
        ]
        return [self._scored(encoded, row, instances) for row, instances in enumerate(kept)]

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
    """Downscale a mask to decoder resolution without padding, bool (h, w)."""
    height, width = _low_res_size(resize)
    return cv2.resize(mask.full().view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).view(bool)


def _low_res_size(resize: ResizeLongestSide) -> tuple[int, int]:
    """Height and width at decoder resolution, without padding."""
    return -(-resize.input_height // SCALE), -(-resize.input_width // SCALE)
