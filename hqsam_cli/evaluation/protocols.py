"""The two ways of putting a photo before the model, kept apart because they give different numbers.

`paper` is what the authors' evaluation of the four sets does (`train.py --eval` of their repository): the photo is
squashed to the model's input size, boxes come from the squashed gt, and logits go to the photo's size in one resize.
`deploy` is what `hqsam segment` does: the aspect is kept, prompts are in the photo's pixels, two resizes.
Either way the image is encoded once, and SAM, HQ-SAM and their sum are read off the same features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..configs import MaskOutput, Protocol
from ..inference.postprocess import mask_crops
from ..inference.predictor import EncodedImages, Predictor
from ..inference.preprocess import ResizeLongestSide
from ..io.masks import THRESHOLD
from ..records import Prompt


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An encoded photo.

    Attributes:
        encoded: with HQ features where the model has them.
        size: (height, width) of the photo, which masks come in.
    """

    protocol: Protocol
    encoded: EncodedImages
    size: tuple[int, int]


class Evaluator:
    """A model and how it is asked.

    Args:
        predictor: the way through the model.
        outputs: which masks to compare; `hq` and `sum` need a model with the HQ token.
    """

    def __init__(self, predictor: Predictor, protocol: Protocol, outputs: Sequence[MaskOutput]) -> None:
        self.predictor = predictor
        self.protocol: Protocol = protocol
        self.outputs = tuple(outputs)

    def prepare(self, image: np.ndarray) -> PreparedImage:
        """Encode a photo, RGB uint8 (H, W, 3)."""
        height, width = image.shape[:2]
        predictor, hq = self.predictor, self.predictor.model.has_hq
        if self.protocol == "deploy":
            return PreparedImage(self.protocol, predictor.encode([image], hq=hq), (height, width))
        side = predictor.model.image_size
        features = predictor.encode_resized([squash(image, side).astype(np.uint8)], hq=hq)
        encoded = EncodedImages(features, [ResizeLongestSide.of(side, side, side)])
        return PreparedImage(self.protocol, encoded, (height, width))

    def to_prompt_pixels(self, values: np.ndarray) -> np.ndarray:
        """A mask of the photo, uint8 0 to 255 (H, W), as it looks in the pixels prompts are given in: bool.

        The authors squash before they threshold, which moves the box of a mask with gray edges.
        """
        return (values if self.protocol == "deploy" else squash(values, self.predictor.model.image_size)) > THRESHOLD

    def masks(
        self, photo: PreparedImage, prompts: list[Prompt], outputs: Sequence[MaskOutput] | None = None
    ) -> dict[MaskOutput, tuple[list[np.ndarray], list[float]]]:
        """For each mask output the masks of the prompts, bool (H, W), and their predicted IoUs.

        Args:
            outputs: all of the evaluator's unless given.
        """
        wanted = self.outputs if outputs is None else tuple(outputs)
        result: dict[MaskOutput, tuple[list[np.ndarray], list[float]]] = {name: ([], []) for name in wanted}
        for _, found in self.predictor.logits(photo.encoded, [(0, prompt) for prompt in prompts], wanted):
            for name, (logits, predicted_iou) in found.items():
                result[name][0].extend(full_masks(photo, logits[:, 0]))
                result[name][1].extend(predicted_iou[:, 0].tolist())
        return result


def squash(image: np.ndarray, side: int) -> np.ndarray:
    """An image uint8 (H, W) or (H, W, C) squashed to a square, float32 0 to 255, without anti-aliasing."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).float()
    planes = pixels[None, None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)[None]
    resized = functional.interpolate(planes, (side, side), mode="bilinear", align_corners=False)[0]
    return (resized[0] if pixels.ndim == 2 else resized.permute(1, 2, 0)).numpy()


def full_masks(photo: PreparedImage, logits: Tensor) -> list[np.ndarray]:
    """Masks (logits over 0) at the size of the photo, bool (H, W), as its protocol makes them."""
    if photo.protocol == "deploy":
        return [crop.full() for crop in mask_crops(logits, photo.encoded.resizes * len(logits))]
    # One at a time: a photo of twelve megapixels takes 48 MB a mask here.
    return [
        (functional.interpolate(row[None, None], photo.size, mode="bilinear", align_corners=False)[0, 0] > 0)
        .cpu()
        .numpy()
        for row in logits
    ]
