"""Mask prediction with a model in torch, for runs, evaluation, training and library use."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from ..configs import MaskOutput
from ..modeling.sam import HQSam, ImageFeatures, MaskChoice
from ..records import Prompt
from .postprocess import SCALE
from .prediction import AnyImage, BasePredictor
from .preprocess import ResizedImage, ResizeLongestSide, ResizeSquare, make_prompt_batch, normalize_batch

log = logging.getLogger(__name__)


def prepare_for_inference(model: HQSam, device: str | torch.device, dtype: torch.dtype = torch.float32) -> HQSam:
    """Fuse batch norms, precompute attention biases, and move the model to the device in channels-last format.

    Logits stay equal to 1e-5 of their range; state keys change, so the model can no longer be trained or saved.

    Args:
        dtype: of the matrix products. Autocast would cast their weights at every call, which on a GPU takes longer than
            many of the products.
    """
    model.eval().requires_grad_(False)
    for module in list(model.modules()):
        if fuse := getattr(module, "fuse", None):
            fuse()
    on_cpu = torch.device(device).type == "cpu"
    in_float32 = {
        part for own in model.modules() if on_cpu and getattr(own, "float32_on_cpu", False) for part in own.modules()
    }
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d) and module not in in_float32:
            module.to(dtype)
    return model.to(device).to(memory_format=torch.channels_last)


@dataclass(frozen=True, slots=True)
class EncodedImages:
    """Features of images, and the resized images themselves."""

    features: ImageFeatures
    images: list[ResizedImage]

    @property
    def resizes(self) -> list[ResizeLongestSide]:
        """Resize of each image to the model's input."""
        return [image.resize for image in self.images]

    def without_padding(self) -> EncodedImages:
        """Without the HQ features that no image pixel depends on; logits of the HQ token are background there."""
        hq = self.features.hq
        if hq is None:
            return self
        # Upsampling reaches one logit beyond.
        height, width = (
            1 + max(-(-side // SCALE) for side in sides)
            for sides in zip(*((own.input_height, own.input_width) for own in self.resizes), strict=True)
        )
        return replace(self, features=self.features._replace(hq=hq[..., :height, :width]))


class Predictor(BasePredictor):
    """Predicts masks with a model.

    Args:
        model: from `load_model`, in evaluation mode.
        mask_output: see `BasePredictor`; by default that of the model.
        choice, compare_sam, soft: see `BasePredictor`.
        dtype: precision of the computation; masks are thresholded from float32 logits.
        prompts_per_batch: see `BasePredictor`; halved when the device runs out of memory.
    """

    def __init__(
        self,
        model: HQSam,
        *,
        mask_output: MaskOutput | None = None,
        choice: MaskChoice = "single",
        compare_sam: bool = False,
        dtype: torch.dtype = torch.float32,
        prompts_per_batch: int = 32,
        soft: bool = False,
    ) -> None:
        super().__init__(
            model.image_size,
            mask_output=mask_output or model.mask_output,
            choice=choice,
            compare_sam=compare_sam,
            prompts_per_batch=prompts_per_batch,
            soft=soft,
        )
        self.model = model
        self.dtype = dtype
        if model.square_input:
            self.resize_type = ResizeSquare

    @property
    def on_cpu(self) -> bool:
        """Whether the model is on the CPU."""
        return self.model.device.type == "cpu"

    @torch.inference_mode()
    def encode(self, images: Sequence[AnyImage], *, hq: bool | None = None) -> EncodedImages:
        """Encode images; halves the batch when the device runs out of memory.

        Args:
            hq: False skips the HQ features, None skips them if `mask_output` does not need them.
        """
        model = self.model
        hq = self.mask_output != "sam" if hq is None else hq
        resized = [image if isinstance(image, ResizedImage) else self.resize(image) for image in images]
        try:
            with self._autocast():
                batch = normalize_batch([image.pixels for image in resized], model.image_size, model.device)
                return EncodedImages(model.encode(batch, hq=hq), resized)
        except torch.cuda.OutOfMemoryError:
            if len(images) == 1:
                raise MemoryError("not enough device memory for one image: use a smaller `model`") from None
        log.warning("out of device memory: encoding fewer than %d images per batch", len(images))
        torch.cuda.empty_cache()
        half = len(images) // 2
        parts = [self.encode(own, hq=hq).features for own in (resized[:half], resized[half:])]
        return EncodedImages(ImageFeatures.cat(parts), resized)

    @torch.inference_mode()
    def logits(
        self,
        encoded: EncodedImages,
        prompts: list[tuple[int, Prompt]],
        outputs: Sequence[MaskOutput],
        *,
        iou_threshold: float | None = None,
        mask_logits: Tensor | np.ndarray | None = None,
    ) -> Iterator[tuple[list[tuple[int, Prompt]], dict[MaskOutput, tuple[Tensor, Tensor]]]]:
        """Yield batches of prompts, with the logits (P, K, S / 4, S / 4) and predicted IoUs (P, K) of each output.

        Args:
            prompts: (row of the encoded image, prompt), in ascending order of rows.
            outputs, iou_threshold: see `HQSam.predict`.
            mask_logits: see `BasePredictor`.
        """
        start = 0
        while start < len(prompts):
            chunk = prompts[start : start + self.prompts_per_batch]
            first, last = chunk[0][0], chunk[-1][0]
            batch = make_prompt_batch(
                [prompt for _, prompt in chunk],
                [encoded.resizes[row] for row, _ in chunk],
                [row - first for row, _ in chunk],
                self.model.device,
            )
            if mask_logits is not None:
                own = mask_logits[start : start + len(chunk)]
                batch = replace(batch, masks=torch.as_tensor(own, device=self.model.device), has_mask=None)
            try:
                with self._autocast():
                    features = encoded.features.rows(first, last)
                    found = self.model.predict(
                        features, batch, outputs, choice=self.choice, iou_threshold=iou_threshold
                    )
                result = {name: (values.float(), iou.float()) for name, (values, iou) in found.items()}
            except torch.cuda.OutOfMemoryError:
                self._halve_prompts()
                continue
            yield chunk, result
            start += len(chunk)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.model.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _halve_prompts(self) -> None:
        """Halve the prompt batch size; raises a MemoryError at one."""
        if self.prompts_per_batch == 1:
            raise MemoryError("not enough device memory for one prompt: use a smaller `model`")
        self.prompts_per_batch //= 2
        torch.cuda.empty_cache()
        log.warning("out of device memory: continuing with %d prompts per batch", self.prompts_per_batch)
