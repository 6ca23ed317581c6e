"""The objects of an image where nobody says which: those that points find, and those of a detector beside them.

A point costs little where only SAM's own three masks are looked at, at the resolution of the decoder. What is sure,
stable and new among them gives a box, and boxes are answered as those of a detector are.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from torch import Tensor

from .configs import ObjectsConfig
from .everything import point_grid, point_prompt
from .formats.segmentation import encode_crop
from .predictor import AnyImage, EncodedImages, Predictor
from .records import Box, Instance, MaskCrop, Prompt
from .transforms import ResizedImage, ResizeLongestSide
from .upsample import SCALE

OFFSET = 1.0  # of logits; SAM's own in its automatic mask generator


class ObjectPredictor:
    """Masks of what points find, and then those of prompts, as a `Predictor` makes them, of which that has none.

    Points come first because their boxes are tight: what a small detector draws around the same object is looser, and
    around several objects hides them.

    Args:
        predictor: of one mask a prompt.
    """

    def __init__(self, predictor: Predictor, config: ObjectsConfig) -> None:
        self.predictor, self.config = predictor, config
        self.at_points = Predictor(
            predictor.model,
            mask_output="sam",
            choice="all",
            dtype=predictor.dtype,
            prompts_per_batch=predictor.prompts_per_batch,
        )

    def resize(self, image: np.ndarray) -> ResizedImage:
        """See `Predictor.resize`."""
        return self.predictor.resize(image)

    def predict_batch(self, images: Sequence[AnyImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        """See `Predictor.predict_batch`; each image is encoded once, by itself."""
        return [self._objects(image, own) for image, own in zip(images, prompts, strict=True)]

    def _objects(self, image: AnyImage, prompts: list[Prompt]) -> list[Instance]:
        encoded = self.predictor.encode([image], hq=self.predictor.mask_output != "sam")
        boxes = self.propose(encoded)
        found = self._answers(encoded, [*(Prompt(box=box) for box in boxes), *prompts])
        return [found[place] for place in distinct([own.mask for own in found], self.config, wholes=len(boxes))]

    def _answers(self, encoded: EncodedImages, prompts: list[Prompt]) -> list[Instance]:
        return [instance for _, instance in self.predictor.instances(encoded, [(0, prompt) for prompt in prompts])]

    def propose(self, encoded: EncodedImages, known: Sequence[MaskCrop] = ()) -> list[Box]:
        """Boxes of what points find in an image, in its pixels.

        Args:
            encoded: that image alone.
            known: masks of the image; no point under them is asked, and copies and parts of them are not proposed.
        """
        (resize,) = encoded.resizes
        height, width = (-(-length // SCALE) for length in (resize.input_height, resize.input_width))
        known, proposed = [_shrunk(mask, height, width) for mask in known], list[MaskCrop]()
        for side in self.config.grid_points:
            covered = np.zeros((height, width), bool)
            for mask in (*known, *proposed):
                covered |= mask.bits
            places = point_grid(side)
            rows, columns = (places[:, ::-1] * [height, width]).astype(int).T
            points = (places * [resize.width, resize.height])[~covered[rows, columns]]
            masks = [*known, *proposed, *self._masks_at(encoded, points, height, width)]
            proposed = [masks[n] for n in distinct(masks, self.config, known=len(known)) if n >= len(known)]
        return [_box_in_photo(mask, resize) for mask in proposed]

    def _masks_at(self, encoded: EncodedImages, points: np.ndarray, height: int, width: int) -> list[MaskCrop]:
        """SAM's masks at points (n, 2) that are sure and stable, surest first, as the decoder makes them (h, w)."""
        threshold, found = self.config.grid_iou, list[tuple[float, np.ndarray]]()
        prompts = [(0, point_prompt(x, y)) for x, y in points]
        for _, outputs in self.at_points.logits(encoded, prompts, ["sam"], over=threshold):
            logits, estimates = outputs["sam"]
            sure = estimates > threshold
            logits, estimates = logits[sure][:, :height, :width], estimates[sure]
            stable = _stability(logits) >= self.config.grid_stability
            found += zip(estimates[stable].tolist(), (logits[stable] > 0).cpu().numpy(), strict=True)
        found.sort(key=lambda own: -own[0])
        return [MaskCrop.whole(bits) for _, bits in found]


def distinct(
    masks: Sequence[MaskCrop], config: ObjectsConfig, *, known: int = 0, wholes: int | None = None
) -> list[int]:
    """Which of some masks of an image stay: no copy of one before it, and no small part of another.

    Args:
        known: how many of the first are objects even if they are parts.
        wholes: how many of the first may have parts, None all; what a detector boxes may be a group, which has members.
    """
    from pycocotools import mask as coco_mask

    if not masks:
        return []
    rles = [encode_crop(mask) for mask in masks]
    areas = np.array([np.count_nonzero(mask.bits) for mask in masks])  # pycocotools refuses over 255 at once
    iou = coco_mask.iou(rles, rles, [0] * len(rles))
    share = coco_mask.iou(rles, rles, [1] * len(rles))  # of the first that lies in the second
    kept: list[int] = []
    for place in range(len(masks)):
        if areas[place] and not (iou[place, kept] > config.duplicate_iou).any():
            kept.append(place)
    return [
        place
        for place in kept
        if place < known
        or not any(
            share[place, other] > config.part and areas[place] < config.part_size * areas[other]
            for other in kept
            if wholes is None or other < wholes
        )
    ]


def _stability(logits: Tensor) -> Tensor:
    """IoU of the masks of logits (N, h, w) cut one over and one under 0, which shows how sharp their edges are."""
    return (logits > OFFSET).sum(dim=(1, 2)) / (logits > -OFFSET).sum(dim=(1, 2)).clamp(min=1)


def _shrunk(mask: MaskCrop, height: int, width: int) -> MaskCrop:
    """A mask at the resolution of the decoder."""
    small = cv2.resize(mask.full().view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    return MaskCrop.whole(small.view(bool))


def _box_in_photo(mask: MaskCrop, resize: ResizeLongestSide) -> Box:
    """The tight box of a mask of the decoder, in pixels of the photo."""
    x, y, width, height = mask.tight_box()
    across, down = SCALE * resize.width / resize.input_width, SCALE * resize.height / resize.input_height
    x1, y1 = min((x + width) * across, resize.width), min((y + height) * down, resize.height)
    return x * across, y * down, x1, y1
