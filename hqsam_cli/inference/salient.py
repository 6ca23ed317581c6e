"""The most salient object of an image, without prompts.

The saliency map of a small head on the image embedding, a cell per 32 pixels of the input, tells where the object is;
a box around it is the prompt of its mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..modeling.saliency import SaliencyHead
from ..records import Instance, Prompt
from .coarse_masks import prompt_box
from .crops import source_of
from .postprocess import SCALE
from .prediction import AnyImage
from .predictor import EncodedImages, Predictor
from .preprocess import ResizeLongestSide

POOL = 2  # cells of the image embedding per cell of the map, along each side
CELL = 16 * POOL  # pixels of the model's input
SALIENT = 0.5  # least saliency in the object, as a fraction of the highest


class SalientPredictor:
    """Segments the most salient object of each image.

    Args:
        predictor: with `choice` `single`.
        head: for the image embedding of `encoder`.
        encoder: None for the predictor itself.
    """

    def __init__(self, predictor: Predictor, head: SaliencyHead, encoder: Predictor | None = None) -> None:
        self.predictor, self.head, self.encoder, self.resize = predictor, head, encoder, predictor.resize

    def generate(self, images: Sequence[AnyImage]) -> list[list[Instance]]:
        """Generate one instance for each image; all images are encoded in one batch, except on a CPU."""
        if len(images) != 1 and (not images or self.predictor.on_cpu):
            return [self.generate([image])[0] for image in images]
        encoded = self.predictor.encode(images)
        seen = encoded
        if self.encoder is not None:
            seen = self.encoder.encode([source_of(image) for image in images], hq=False)
        return self.predictor.decode(encoded, [[self._prompt(seen, row)] for row in range(len(images))])

    @torch.inference_mode()
    def _prompt(self, encoded: EncodedImages, row: int) -> Prompt:
        """The box of the salient object of an image; its score is the object's mean saliency."""
        saliency = self.head(saliency_features(encoded, row)).sigmoid()[0].cpu().numpy()
        return salient_prompt(saliency, encoded.resizes[row])


def saliency_features(encoded: EncodedImages, row: int = 0) -> Tensor:
    """The mean image embedding in each cell of the map, without padding, float32 (1, C, h, w)."""
    resize = encoded.resizes[row]
    height, width = (-(-length // CELL) for length in (resize.input_height, resize.input_width))
    embedding = encoded.features.embedding[row : row + 1].float()
    return functional.avg_pool2d(embedding, POOL)[:, :, :height, :width]


def salient_prompt(saliency: np.ndarray, resize: ResizeLongestSide) -> Prompt:
    """The prompt of the object in a map, float32 (h, w): the enlarged box of its large parts, in image pixels."""
    cells = saliency > SALIENT * saliency.max()
    fine = cv2.resize(saliency, None, fx=CELL / SCALE, fy=CELL / SCALE, interpolation=cv2.INTER_LINEAR)
    height, width = -(-resize.input_height // SCALE), -(-resize.input_width // SCALE)
    box = prompt_box(Prompt(mask=fine[:height, :width] > SALIENT * saliency.max())) or (0.0, 0.0, width, height)
    x0, x1 = (min(x * SCALE * resize.width / resize.input_width, resize.width) for x in box[::2])
    y0, y1 = (min(y * SCALE * resize.height / resize.input_height, resize.height) for y in box[1::2])
    return Prompt(box=(x0, y0, x1, y1), score=float(saliency[cells].mean()))
