"""The two evaluation protocols, which give different results.

`paper` follows the authors' evaluation of the four sets (`train.py --eval` of their repository): images are resized
to a square regardless of aspect ratio, ground truth boxes are resized likewise, and logits are upsampled to the image
size in one step. `deploy` follows `hqsam segment`: the longest side is resized, prompts are in image pixels, and
logits are upsampled in two steps. An image is encoded once for SAM, HQ-SAM and their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..configs import MaskOutput, Protocol
from ..inference.predictor import EncodedImages, Predictor
from ..inference.preprocess import resize_mask_prompt
from ..io.masks import is_foreground
from ..records import Prompt

Masks = tuple[list[np.ndarray], list[float]]  # bool (H, W), and predicted IoUs


class PreparedImage(NamedTuple):
    """An encoded image and its size (height, width)."""

    encoded: EncodedImages
    size: tuple[int, int]


class Evaluator:
    """A model under a protocol, with the mask outputs to predict; `hq` and `sum` require the HQ token."""

    def __init__(self, predictor: Predictor, protocol: Protocol, outputs: Sequence[MaskOutput]) -> None:
        self.predictor = predictor
        self.protocol: Protocol = protocol
        self.outputs = tuple(outputs)

    def prepare(self, image: np.ndarray) -> PreparedImage:
        """Encode an image, RGB uint8 (H, W, 3)."""
        height, width = image.shape[:2]
        predictor, hq = self.predictor, self.predictor.model.has_hq
        if self.protocol == "paper":
            image = resize_square(image, predictor.model.image_size).astype(np.uint8)
        return PreparedImage(predictor.encode([image], hq=hq), (height, width))

    def to_prompt_pixels(self, values: np.ndarray) -> np.ndarray:
        """Resize a mask, uint8 0 to 255 (H, W), to prompt pixel coordinates: bool.

        Like the authors, `paper` resizes before thresholding, which shifts the box of a mask with soft edges.
        """
        if self.protocol == "paper":
            values = resize_square(values, self.predictor.model.image_size)
        return is_foreground(values)

    def masks(
        self, image: PreparedImage, prompts: list[Prompt], outputs: Sequence[MaskOutput] | None = None
    ) -> dict[MaskOutput, Masks]:
        """Predict masks and IoUs for prompts, by mask output (default: all of the evaluator's)."""
        wanted = self.outputs if outputs is None else tuple(outputs)
        if self.protocol == "deploy":
            decoded = self.predictor.decode_outputs(image.encoded, [prompts], wanted)
            return {
                name: ([own.mask.full() for own in instances], [own.predicted_iou for own in instances])
                for name, (instances,) in decoded.items()
            }
        result: dict[MaskOutput, Masks] = {name: ([], []) for name in wanted}
        mask_logits = self._mask_prompts(image.encoded, prompts)
        asked = [(0, prompt if mask_logits is None else replace(prompt, mask=None)) for prompt in prompts]
        for _, found in self.predictor.logits(image.encoded, asked, wanted, mask_logits=mask_logits):
            for name, (logits, predicted_iou) in found.items():
                masks, estimates = result[name]
                estimates += predicted_iou[:, 0].tolist()
                masks += [  # one at a time: logits of a 12-megapixel mask take 48 MB
                    (functional.interpolate(row[None, None], image.size, mode="bilinear")[0, 0] > 0).cpu().numpy()
                    for row in logits[:, 0]
                ]
        return result

    def _mask_prompts(self, encoded: EncodedImages, prompts: Sequence[Prompt]) -> Tensor | None:
        """Coarse masks as the authors prompt with them, 0 or 255 without a box, (P, 1, S / 4, S / 4); None without."""
        (resize,) = encoded.resizes
        masks = [resize_mask_prompt(own.mask, resize, alone=False) for own in prompts if own.mask is not None]
        return torch.from_numpy(np.stack(masks)[:, None]).to(self.predictor.model.device) if masks else None


def resize_square(image: np.ndarray, side: int) -> np.ndarray:
    """Resize an image, uint8 (H, W) or (H, W, C), to a float32 0 to 255 square, without anti-aliasing."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).float()
    planes = pixels[None, None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)[None]
    resized = functional.interpolate(planes, (side, side), mode="bilinear", align_corners=False)[0]
    return (resized[0] if pixels.ndim == 2 else resized.permute(1, 2, 0)).numpy()
