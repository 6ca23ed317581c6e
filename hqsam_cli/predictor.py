"""Images and prompts in, masks out: the one way through a model, for runs, evaluations, training and libraries."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from .configs import MaskOutput
from .modeling.sam import HQSam, ImageFeatures, MaskChoice
from .prediction import Prediction
from .records import Instance, Prompt
from .transforms import ResizedImage, ResizeLongestSide, make_prompt_batch, normalize_batch
from .upsample import alpha_crops, mask_crops

log = logging.getLogger(__name__)
AnyImage: TypeAlias = np.ndarray | ResizedImage


@dataclass(frozen=True, slots=True)
class EncodedImages:
    """What the model remembers of images, and how each of them lies in the model's square."""

    features: ImageFeatures
    resizes: list[ResizeLongestSide]


class Predictor:
    """A model on its device, with what to ask of it.

    Args:
        model: of `load_model`, in evaluation mode.
        mask_output: `sum` of SAM's logits and the HQ token's, `hq` the HQ token's alone, `sam` plain SAM.
        choice: `single`, or `all` for the three masks of a multimask run.
        compare_sam: instances also have plain SAM's masks of their prompts.
        dtype: precision of the computation; masks are always cut from float32 logits.
        prompts_per_batch: prompts decoded at once, over the borders of images; sets the memory needed. It halves
            when the device's memory does not suffice.
        soft: instances have an `alpha` too.
    """

    def __init__(
        self,
        model: HQSam,
        *,
        mask_output: MaskOutput = "sum",
        choice: MaskChoice = "single",
        compare_sam: bool = False,
        dtype: torch.dtype = torch.float32,
        prompts_per_batch: int = 32,
        soft: bool = False,
    ) -> None:
        self.model = model
        self.mask_output: MaskOutput = mask_output
        self.choice: MaskChoice = choice
        self.compare_sam = compare_sam
        self.dtype = dtype
        self.prompts_per_batch = prompts_per_batch
        self.soft = soft

    @property
    def on_cpu(self) -> bool:
        """Whether there is no accelerator."""
        return self.model.device.type == "cpu"

    def predict(
        self,
        image: np.ndarray,
        *,
        boxes: np.ndarray | None = None,
        points: Sequence[np.ndarray] | None = None,
        masks: np.ndarray | None = None,
        scores: np.ndarray | None = None,
        class_id: np.ndarray | None = None,
    ) -> Prediction:
        """A mask for each of n prompts in one image; what is given together is one prompt.

        Args:
            image: RGB uint8 (H, W, 3).
            boxes: (n, 4) x0, y0, x1, y1 in pixels.
            points: n arrays (k, 3) of x, y and 1 inside, 0 outside the object.
            masks: bool (n, H, W), coarse masks to refine.
            scores: (n,) of a detector; the confidence of a mask is its score times its predicted IoU.
            class_id: (n,) integers, kept in the result.

        Raises:
            ValueError: nothing is given, or not n of each.
        """
        given = [x for x in (boxes, points, masks, scores, class_id) if x is not None]
        counts = {len(x) for x in given}
        if len(counts) != 1 or (boxes is None and points is None and masks is None):
            raise ValueError("give boxes, points or masks, equally many of each")
        count = counts.pop()
        prompts = [
            Prompt(
                annotation_id=n + 1,
                category_id=0 if class_id is None else int(class_id[n]),
                box=None if boxes is None else _box(boxes[n]),
                points=None if points is None else np.asarray(points[n], np.float64).reshape(-1, 3),
                mask=None if masks is None else np.asarray(masks[n], bool),
                score=None if scores is None else float(scores[n]),
            )
            for n in range(count)
        ]
        return Prediction(self.predict_batch([image], [prompts])[0], image.shape[:2])

    def predict_batch(self, images: Sequence[AnyImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        """Instances of each image, in the order of its prompts.

        Args:
            images: RGB uint8 (H, W, 3), of any sizes, or what `resize` made of them.
            prompts: of each image; an image without any is not encoded.

        Raises:
            MemoryError: the device is too small for one image or one prompt at a time.
        """
        if len(images) > 1 and self.on_cpu:
            # Company makes nothing faster here, but would change the last bits of an image's logits.
            pairs = zip(images, prompts, strict=True)
            return [self.predict_batch([image], [own])[0] for image, own in pairs]
        results: list[list[Instance]] = [[] for _ in images]
        busy = [i for i, own in enumerate(prompts) if own]
        if not busy:
            return results
        encoded = self.encode([images[i] for i in busy], hq=self.mask_output != "sam")
        flat = [(row, prompt) for row, i in enumerate(busy) for prompt in prompts[i]]
        for row, instance in self.instances(encoded, flat):
            results[busy[row]].append(instance)
        return results

    def instances(self, encoded: EncodedImages, prompts: list[tuple[int, Prompt]]) -> Iterator[tuple[int, Instance]]:
        """The masks of prompts, each with the row of its image; see `logits`."""
        outputs: list[MaskOutput] = [self.mask_output, "sam"] if self.compare_sam else [self.mask_output]
        for chunk, logits in self.logits(encoded, prompts, outputs):
            made = _instances(chunk, encoded.resizes, *logits[self.mask_output], soft=self.soft)
            if self.compare_sam:
                plain = _instances(chunk, encoded.resizes, *logits["sam"])
                made = [(row, replace(own, sam=sam)) for (row, own), (_, sam) in zip(made, plain, strict=True)]
            yield from made

    def resize(self, image: np.ndarray) -> ResizedImage:
        """An image, RGB uint8 (H, W, 3), as the model sees it; worth a thread of its own, since photos are large."""
        return ResizedImage.of(image, self.model.image_size)

    def encode(self, images: Sequence[AnyImage], *, hq: bool) -> EncodedImages:
        """Encode images, their longest side the model's; `hq` False leaves the HQ features out."""
        resized = [image if isinstance(image, ResizedImage) else self.resize(image) for image in images]
        features = self.encode_resized([image.pixels for image in resized], hq=hq)
        return EncodedImages(features, [image.resize for image in resized])

    @torch.inference_mode()
    def encode_resized(self, images: list[np.ndarray], *, hq: bool) -> ImageFeatures:
        """Features of images that fit the model's square; halves the batch when memory does not hold it."""
        model = self.model
        try:
            with self._autocast():
                return model.encode(normalize_batch(images, model.image_size, model.device), hq=hq)
        except torch.cuda.OutOfMemoryError:
            if len(images) == 1:
                raise MemoryError("the device cannot hold one image: take a smaller `model`") from None
        log.warning("out of device memory: encoding fewer than %d images at once", len(images))
        torch.cuda.empty_cache()
        half = len(images) // 2
        parts = [self.encode_resized(own, hq=hq) for own in (images[:half], images[half:])]
        fused = [part.hq for part in parts if part.hq is not None]
        return ImageFeatures(torch.cat([part.embedding for part in parts]), torch.cat(fused) if fused else None)

    @torch.inference_mode()
    def logits(
        self,
        encoded: EncodedImages,
        prompts: list[tuple[int, Prompt]],
        outputs: Sequence[MaskOutput],
        *,
        over: float | None = None,
    ) -> Iterator[tuple[list[tuple[int, Prompt]], dict[MaskOutput, tuple[Tensor, Tensor]]]]:
        """Chunks of the prompts, and for each output their logits (P, K, S / 4, S / 4) and predicted IoUs (P, K).

        Args:
            prompts: (row of the image among those encoded, prompt), rows ascending.
            outputs: one, or of `single` masks several, which are read off the same features.
            over: prompts of which no predicted IoU is over it have logits of 0.
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
            try:
                with self._autocast():
                    features = encoded.features.rows(first, last)
                    found = self.model.predict_outputs(features, batch, outputs, choice=self.choice, over=over)
                result = {name: (values.float(), iou.float()) for name, (values, iou) in found.items()}
            except torch.cuda.OutOfMemoryError:
                self._halve_prompts()
                continue
            yield chunk, result
            start += len(chunk)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.model.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def _halve_prompts(self) -> None:
        """Half as many prompts at once from now on; gives up at one."""
        if self.prompts_per_batch == 1:
            raise MemoryError("the device cannot hold one prompt: take a smaller `model`")
        self.prompts_per_batch //= 2
        torch.cuda.empty_cache()
        log.warning("out of device memory: going on with %d prompts at once", self.prompts_per_batch)


def _instances(
    chunk: list[tuple[int, Prompt]],
    resizes: list[ResizeLongestSide],
    values: Tensor,
    predicted_iou: Tensor,
    *,
    soft: bool = False,
) -> list[tuple[int, Instance]]:
    """The masks of logits (P, K, S / 4, S / 4) and predicted IoUs (P, K), each with the row of its image."""
    count = values.shape[1]
    rows, own = values.flatten(0, 1), [resizes[row] for row, _ in chunk for _ in range(count)]
    crops = mask_crops(rows, own)
    alphas = alpha_crops(rows, own) if soft else [None] * len(crops)
    estimates = predicted_iou.tolist()
    return [
        (row, Instance(prompt, crops[place], estimates[n][k], k, alpha=alphas[place]))
        for n, (row, prompt) in enumerate(chunk)
        for k, place in enumerate(range(n * count, (n + 1) * count))
    ]


def _box(values: np.ndarray) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1
