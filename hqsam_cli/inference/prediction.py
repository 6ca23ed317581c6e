"""Mask prediction from images and prompts, whatever computes the logits; does not import torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ..configs import MaskOutput
from ..modeling.overlap import mask_iou
from ..records import Annotation, Box, Instance, Prompt
from .coarse_masks import SAME_OBJECT, distance_logits, is_mask_alone, prompt_box
from .postprocess import mask_crops, probability_crops
from .preprocess import ResizedImage, ResizeLongestSide, WindowedImage

if TYPE_CHECKING:
    from ..modeling.sam import MaskChoice

Source: TypeAlias = np.ndarray | WindowedImage  # RGB uint8 (H, W, 3)
AnyImage: TypeAlias = Source | ResizedImage


@dataclass(frozen=True, slots=True)
class Prediction:
    """The n predicted masks of an image as arrays, named as in `supervision.Detections`.

    Attributes:
        instances: the masks as crops.
        shape: (H, W) of the image.
    """

    instances: list[Instance]
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.instances)

    @property
    def xyxy(self) -> np.ndarray:
        """Tight boxes of the masks, float32 (n, 4) x0, y0, x1, y1 in pixels; zeros for empty masks."""
        boxes = [instance.mask.tight_box() for instance in self.instances]
        return np.array([(x, y, x + w, y + h) for x, y, w, h in boxes], np.float32).reshape(-1, 4)

    @property
    def mask(self) -> np.ndarray:
        """Masks, bool (n, H, W)."""
        full = [instance.mask.full() for instance in self.instances]
        return np.stack(full) if full else np.zeros((0, *self.shape), bool)

    @property
    def confidence(self) -> np.ndarray:
        """Scores, float32 (n,)."""
        return np.array([instance.score for instance in self.instances], np.float32)

    @property
    def class_id(self) -> np.ndarray:
        """Class ids, int (n,)."""
        return np.array([instance.prompt.category_id for instance in self.instances], int)

    def to_coco(self, image_id: int = 1) -> list[Annotation]:
        """Convert to COCO annotations with compressed RLE."""
        return [instance.to_coco(image_id) for instance in self.instances]


class BasePredictor(ABC):
    """Predicts masks with a model.

    Args:
        image_size: input size S of the model in pixels.
        mask_output: `sum` of SAM's and the HQ token's logits, `auto` with SAM's weighted by their stability, `hq` the
            HQ token only, `sam` plain SAM.
        choice: `single` mask, or `all` three masks of multimask output.
        compare_sam: also predict plain SAM's masks for the same prompts.
        prompts_per_batch: prompts decoded per batch, of one or more images; determines memory use.
        soft: also return probability maps.
    """

    resize_type: type[ResizeLongestSide] = ResizeLongestSide

    def __init__(
        self,
        image_size: int,
        *,
        mask_output: MaskOutput,
        choice: MaskChoice = "single",
        compare_sam: bool = False,
        prompts_per_batch: int = 32,
        soft: bool = False,
    ) -> None:
        self.image_size = image_size
        self.mask_output: MaskOutput = mask_output
        self.choice: MaskChoice = choice
        self.compare_sam = compare_sam
        self.prompts_per_batch = prompts_per_batch
        self.soft = soft

    @property
    @abstractmethod
    def on_cpu(self) -> bool:
        """Whether the model is on the CPU."""

    @abstractmethod
    def encode(self, images: Sequence[AnyImage]) -> Any:
        """Encode images: their features, and `resizes`, each image's resize to the model's input."""

    @abstractmethod
    def logits(
        self,
        encoded: Any,
        prompts: list[tuple[int, Prompt]],
        outputs: Sequence[MaskOutput],
        *,
        mask_logits: Any = None,
    ) -> Iterator[tuple[list[tuple[int, Prompt]], dict[MaskOutput, tuple[Any, Any]]]]:
        """Yield batches of prompts, with the logits (P, K, S / 4, S / 4) and predicted IoUs (P, K) of each output.

        Args:
            prompts: (row of the encoded image, prompt), in ascending order of rows.
            mask_logits: mask prompts of all prompts, (N, 1, S / 4, S / 4), instead of their own.
        """

    def refined(
        self, encoded: Any, prompts: Sequence[tuple[int, Prompt]], found: dict[MaskOutput, tuple[Any, Any]]
    ) -> dict[MaskOutput, tuple[Any, Any]]:
        """Add the logits of a second prompt to those of coarse masks alone, if the masks agree; see `coarse_masks`."""
        alone = {n: own for n, own in enumerate(prompts) if is_mask_alone(own[1])}
        if not alone:
            return found
        boxes = [(row, Prompt(box=prompt_box(own))) for row, own in alone.values()]
        masks = np.stack([distance_logits(own, encoded.resizes[row]) for row, own in alone.values()])
        # Sums are copies, since tensors of inference mode cannot be changed in place.
        sums = {name: (values + 0, predicted_iou) for name, (values, predicted_iou) in found.items()}
        rows = iter(alone)
        for chunk, more in self.logits(encoded, boxes, list(found), mask_logits=masks):
            places = list(islice(rows, len(chunk)))
            for name, (values, _) in sums.items():
                first, second = values[places], more[name][0]
                agree = mask_iou(first > 0, second > 0) >= SAME_OBJECT
                values[places] = first + second * agree[..., None, None]
        return sums

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
        """Predict a mask for each of n prompts in one image; the n-th box, points and mask are one prompt.

        Args:
            image: RGB uint8 (H, W, 3), as `read_image` returns it, or gray uint8 (H, W).
            boxes: (n, 4) x0, y0, x1, y1 in pixels.
            points: n arrays (k, 3) of x, y and label, 1 foreground, 0 background.
            masks: bool (n, H, W), coarse masks to refine.
            scores: (n,) detector scores; a mask's confidence is its score times its predicted IoU.
            class_id: (n,) integers, copied to the result; 1 by default, the category of `hqsam segment`.

        Raises:
            ValueError: no prompts are given, their numbers differ, or the image is not such an array.
        """
        image = _rgb(image)
        given = [x for x in (boxes, points, masks, scores, class_id) if x is not None]
        counts = {len(x) for x in given}
        if len(counts) != 1 or (boxes is None and points is None and masks is None):
            raise ValueError("pass boxes, points or masks, with the same length")
        count = counts.pop()
        if boxes is not None and np.shape(boxes) != (count, 4):
            raise ValueError(f"boxes: {np.shape(boxes)}; pass (n, 4) corners x0, y0, x1, y1 in pixels")
        if any(np.ndim(own) != 2 or np.shape(own)[1] != 3 for own in (() if points is None else points)):
            raise ValueError("points: pass n arrays (k, 3) of x, y and label, 1 foreground, 0 background")
        prompts = [
            Prompt(
                annotation_id=n + 1,
                category_id=1 if class_id is None else int(class_id[n]),
                box=None if boxes is None else _box(boxes[n]),
                points=None if points is None else np.asarray(points[n], np.float64),
                mask=None if masks is None else np.asarray(masks[n], bool),
                score=None if scores is None else float(scores[n]),
            )
            for n in range(count)
        ]
        return Prediction(self.predict_batch([image], [prompts])[0], image.shape[:2])

    def predict_batch(self, images: Sequence[AnyImage], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        """Predict instances for each image, in the order of its prompts.

        Args:
            images: RGB uint8 (H, W, 3), of any sizes, or from `resize`.
            prompts: for each image; images without prompts are not encoded.

        Raises:
            MemoryError: the device runs out of memory for one image or one prompt.
        """
        if len(images) > 1 and self.on_cpu:
            # Batches are no faster on a CPU, and the last bits of logits would depend on the other images.
            pairs = zip(images, prompts, strict=True)
            return [self.predict_batch([image], [image_prompts])[0] for image, image_prompts in pairs]
        rows = [i for i, image_prompts in enumerate(prompts) if image_prompts]
        results: list[list[Instance]] = [[] for _ in images]
        if rows:
            decoded = self.decode(self.encode([images[i] for i in rows]), [prompts[i] for i in rows])
            for i, instances in zip(rows, decoded, strict=True):
                results[i] = instances
        return results

    def decode(self, encoded: Any, prompts: Sequence[Sequence[Prompt]]) -> list[list[Instance]]:
        """Predict instances for the prompts of each image; `encoded` is what `encode` returned."""
        outputs: list[MaskOutput] = [self.mask_output, "sam"] if self.compare_sam else [self.mask_output]
        found = self.decode_outputs(encoded, prompts, outputs)
        if not self.compare_sam:
            return found[self.mask_output]
        pairs = zip(found[self.mask_output], found["sam"], strict=True)
        return [[replace(own, sam=sam) for own, sam in zip(instances, sams, strict=True)] for instances, sams in pairs]

    def decode_outputs(
        self, encoded: Any, prompts: Sequence[Sequence[Prompt]], outputs: Sequence[MaskOutput]
    ) -> dict[MaskOutput, list[list[Instance]]]:
        """Predict instances for the prompts of each encoded image, by mask output."""
        found: dict[MaskOutput, list[list[Instance]]] = {name: [[] for _ in prompts] for name in outputs}
        flat = [(n, prompt) for n, image_prompts in enumerate(prompts) for prompt in image_prompts]
        for chunk, raw in self.logits(encoded, flat, outputs):
            logits = self.refined(encoded, chunk, raw)
            for name, results in found.items():
                soft = self.soft and name == self.mask_output
                for n, instance in to_instances(chunk, encoded.resizes, *logits[name], soft=soft):
                    results[n].append(instance)
        return found

    def resize(self, image: Source) -> ResizedImage:
        """Resize an image, RGB uint8 (H, W, 3), for `predict_batch`; thread-safe, because large images take long."""
        resize = self.resize_type.of(image.shape[0], image.shape[1], self.image_size)
        whole = image if isinstance(image, np.ndarray) else image.reduced(resize.input_height, resize.input_width)
        return ResizedImage(resize.apply_image(whole), resize, image)


def to_instances(
    chunk: list[tuple[int, Prompt]],
    resizes: list[ResizeLongestSide],
    values: Any,
    predicted_iou: Any,
    *,
    soft: bool = False,
) -> list[tuple[int, Instance]]:
    """Convert logits (P, K, S / 4, S / 4) and predicted IoUs (P, K) to instances, each with its image row."""
    masks_per_prompt = values.shape[1]
    flat = values.reshape(-1, *values.shape[2:])
    repeated = [resizes[row] for row, _ in chunk for _ in range(masks_per_prompt)]
    masks = mask_crops(flat, repeated)
    probabilities = probability_crops(flat, repeated) if soft else [None] * len(masks)
    scores = predicted_iou.tolist()
    return [
        (row, Instance(prompt, masks[i], scores[n][k], k, probabilities=probabilities[i]))
        for n, (row, prompt) in enumerate(chunk)
        for k, i in enumerate(range(n * masks_per_prompt, (n + 1) * masks_per_prompt))
    ]


def _rgb(image: np.ndarray) -> np.ndarray:
    """An image, RGB or gray, as RGB uint8 (H, W, 3); a ValueError if it is neither."""
    if not isinstance(image, np.ndarray):
        raise ValueError(f"image: not an array but {image!r:.80}; read a file with hqsam_cli.read_image(path)")
    if image.dtype == np.uint8 and image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        given = f"{image.dtype} {image.shape}"
        raise ValueError(f"image: {given}; pass RGB uint8 (H, W, 3) or gray uint8 (H, W), with values from 0 to 255")
    return image


def _box(values: np.ndarray) -> Box:
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1
