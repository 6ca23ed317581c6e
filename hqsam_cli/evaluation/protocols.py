"""The two ways of putting a photo before the model, kept apart because they give different numbers.

`paper` is what the authors' evaluation of the four sets does (`train.py --eval` of their repository): the photo is
squashed to the model's square, boxes come from the squashed truth, and logits go to the photo's size in one resize.
`deploy` is what `hqsam segment` does: the aspect is kept, prompts are in the photo's pixels, two resizes.
Either way the image is encoded once, and SAM, HQ-SAM and their sum are read off the same features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..modeling.sam import HQSam, ImageFeatures, MaskOutput
from ..records import Prompt
from ..transforms import Frame, framed_image, normalised_batch, prompt_batch
from ..upsample import mask_crops

Protocol = Literal["paper", "deploy"]


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An encoded photo.

    Attributes:
        features: with HQ features where the model has them.
        frame: the frame prompts are given in, and how it lies in the model's.
        size: (height, width) of the photo, which masks come in.
    """

    protocol: Protocol
    features: ImageFeatures
    frame: Frame
    size: tuple[int, int]


class Evaluator:
    """A model and how it is asked.

    Args:
        model: in evaluation mode, on its device.
        outputs: which masks to compare; `hq` and `sum` need a model with the HQ token.
        dtype: precision of the computation.
        prompts_per_batch: prompts decoded at once.
    """

    def __init__(
        self,
        model: HQSam,
        protocol: Protocol,
        outputs: Sequence[MaskOutput],
        *,
        dtype: torch.dtype = torch.float32,
        prompts_per_batch: int = 32,
    ) -> None:
        self.model = model
        self.protocol: Protocol = protocol
        self.outputs = tuple(outputs)
        self.dtype = dtype
        self.prompts_per_batch = prompts_per_batch

    @torch.inference_mode()
    def prepared(self, image: np.ndarray) -> PreparedImage:
        """Encode a photo, RGB uint8 (H, W, 3)."""
        height, width = image.shape[:2]
        side = self.model.image_size
        if self.protocol == "paper":
            frame = Frame(side, side, side, side, side)
            framed = squashed(image, side).astype(np.uint8)
        else:
            frame = Frame.of(height, width, side)
            framed = framed_image(image, frame)
        with self._autocast():
            batch = normalised_batch([framed], side, self.model.device)
            features = self.model.encode(batch, hq=self.model.has_hq)
        return PreparedImage(self.protocol, features, frame, (height, width))

    def in_prompt_frame(self, values: np.ndarray) -> np.ndarray:
        """A mask of the photo, uint8 0 to 255 (H, W), as it looks in the frame prompts are given in: bool.

        The authors squash before they threshold, which moves the box of a mask with grey edges.
        """
        return (values if self.protocol == "deploy" else squashed(values, self.model.image_size)) > 128

    @torch.inference_mode()
    def masks(
        self, photo: PreparedImage, prompts: list[Prompt]
    ) -> dict[MaskOutput, tuple[list[np.ndarray], list[float]]]:
        """For each mask output the masks of the prompts, bool (H, W), and SAM's estimates of their IoU."""
        result: dict[MaskOutput, tuple[list[np.ndarray], list[float]]] = {name: ([], []) for name in self.outputs}
        for start in range(0, len(prompts), self.prompts_per_batch):
            chunk = prompts[start : start + self.prompts_per_batch]
            for name, (logits, estimates) in self._logits(photo, chunk).items():
                result[name][0].extend(full_masks(photo, logits))
                result[name][1].extend(estimates.tolist())
        return result

    def _logits(self, photo: PreparedImage, prompts: list[Prompt]) -> dict[MaskOutput, tuple[Tensor, Tensor]]:
        """Logits (P, S / 4, S / 4) and IoU estimates (P,) of each output, in float32."""
        frames, index = [photo.frame] * len(prompts), [0] * len(prompts)
        batch = prompt_batch(prompts, frames, index, self.model.device)
        found: dict[MaskOutput, tuple[Tensor, Tensor]] = {}
        with self._autocast():
            if "sam" in self.outputs:
                # Without the HQ token, as in the authors' baseline: its presence shifts SAM's own masks.
                sam, _, iou = self.model.decode(photo.features._replace(hq=None), batch)
                found["sam"] = sam[:, 0].float(), iou[:, 0].float()
            if "hq" in self.outputs or "sum" in self.outputs:
                sam, hq, iou = self.model.decode(photo.features, batch)
                assert hq is not None
                found["hq"] = hq[:, 0].float(), iou[:, 0].float()
                found["sum"] = (sam + hq)[:, 0].float(), iou[:, 0].float()
        return {name: found[name] for name in self.outputs}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.model.device.type, self.dtype, enabled=self.dtype != torch.float32)


def squashed(image: np.ndarray, side: int) -> np.ndarray:
    """An image uint8 (H, W) or (H, W, C) squashed to a square, float32 0 to 255, without anti-aliasing."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).float()
    planes = pixels[None, None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)[None]
    resized = functional.interpolate(planes, (side, side), mode="bilinear", align_corners=False)[0]
    return (resized[0] if pixels.ndim == 2 else resized.permute(1, 2, 0)).numpy()


def full_masks(photo: PreparedImage, logits: Tensor) -> list[np.ndarray]:
    """Masks (logits over 0) at the size of the photo, bool (H, W), as its protocol makes them."""
    if photo.protocol == "deploy":
        return [crop.full() for crop in mask_crops(logits, [photo.frame] * len(logits))]
    # One at a time: a photo of twelve megapixels takes 48 MB a mask here.
    return [
        (functional.interpolate(row[None, None], photo.size, mode="bilinear", align_corners=False)[0, 0] > 0)
        .cpu()
        .numpy()
        for row in logits
    ]
