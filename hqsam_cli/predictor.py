"""Images and prompts in, instances out: the one way through a model."""

from __future__ import annotations

import logging

import numpy as np
import torch

from .modeling.sam import HQSam, ImageFeatures, MaskChoice, MaskOutput
from .records import Instance, Prompt
from .transforms import Frame, framed_image, normalised_batch, prompt_batch
from .upsample import mask_crops

log = logging.getLogger(__name__)


class Segmenter:
    """A model on a device, with what to ask of it.

    Args:
        model: in evaluation mode, on its device.
        mask_output: `sum`, `hq` or `sam`.
        choice: `single`, or `all` for the three masks of a multimask run.
        dtype: precision of the computation; masks are always cut from float32 logits.
        prompts_per_batch: prompts decoded at once, over the borders of images; sets the memory needed.
    """

    def __init__(
        self,
        model: HQSam,
        *,
        mask_output: MaskOutput = "sum",
        choice: MaskChoice = "single",
        dtype: torch.dtype = torch.float32,
        prompts_per_batch: int = 32,
    ) -> None:
        self.model = model
        self.mask_output: MaskOutput = mask_output
        self.choice: MaskChoice = choice
        self.dtype = dtype
        self.prompts_per_batch = prompts_per_batch

    def segment(self, images: list[np.ndarray], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        """Instances of each image, in the order of its prompts.

        Args:
            images: RGB uint8 (H, W, 3), of any sizes.
            prompts: of each image, fit to its frame; an image without any is not encoded.

        Raises:
            MemoryError: the device is too small for one image or one prompt at a time.
        """
        results: list[list[Instance]] = [[] for _ in images]
        busy = [i for i, own in enumerate(prompts) if own]
        if not busy:
            return results
        frames = [Frame.of(images[i].shape[0], images[i].shape[1], self.model.image_size) for i in busy]
        with torch.inference_mode(), self._autocast():
            features = self._features([framed_image(images[i], f) for i, f in zip(busy, frames, strict=True)])
            flat = [(row, prompt) for row, i in enumerate(busy) for prompt in prompts[i]]
            start = 0
            while start < len(flat):
                chunk = flat[start : start + self.prompts_per_batch]
                try:
                    instances = self._instances(features, chunk, frames)
                except torch.cuda.OutOfMemoryError:
                    self._halve_prompts()
                    continue
                for (row, _), made in zip(chunk, instances, strict=True):
                    results[busy[row]].extend(made)
                start += len(chunk)
        return results

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.model.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _features(self, images: list[np.ndarray]) -> ImageFeatures:
        """Features of framed images; halves the batch when the device's memory does not hold it."""
        model = self.model
        try:
            batch = normalised_batch(images, model.image_size, model.device)
            return model.encode(batch, hq=self.mask_output != "sam")
        except torch.cuda.OutOfMemoryError:
            if len(images) == 1:
                raise MemoryError("the device cannot hold one image: take a smaller --model") from None
        log.warning("out of device memory: encoding fewer than %d images at once", len(images))
        torch.cuda.empty_cache()
        halves = [self._features(half) for half in (images[: len(images) // 2], images[len(images) // 2 :])]
        hq = [half.hq for half in halves if half.hq is not None]
        return ImageFeatures(torch.cat([half.embedding for half in halves]), torch.cat(hq) if hq else None)

    def _halve_prompts(self) -> None:
        """Half as many prompts at once from now on; gives up at one."""
        if self.prompts_per_batch == 1:
            raise MemoryError("the device cannot hold one prompt: take a smaller --model")
        self.prompts_per_batch //= 2
        torch.cuda.empty_cache()
        log.warning("out of device memory: going on with %d prompts at once", self.prompts_per_batch)

    def _instances(
        self, features: ImageFeatures, chunk: list[tuple[int, Prompt]], frames: list[Frame]
    ) -> list[list[Instance]]:
        """Instances of each prompt of a chunk of (row of the image, prompt), rows ascending."""
        first, last = chunk[0][0], chunk[-1][0]
        own = [frames[row] for row, _ in chunk]
        batch = prompt_batch([prompt for _, prompt in chunk], own, [row - first for row, _ in chunk], self.model.device)
        logits, iou = self.model.predict(
            features.rows(first, last), batch, mask_output=self.mask_output, choice=self.choice
        )
        per_prompt = logits.shape[1]
        masks = mask_crops(logits.float().flatten(0, 1), [frame for frame in own for _ in range(per_prompt)])
        estimates = iou.float().tolist()
        return [
            [Instance(prompt, masks[n * per_prompt + k], estimates[n][k], k) for k in range(per_prompt)]
            for n, (_, prompt) in enumerate(chunk)
        ]
