"""Image resizing, normalization and padding, and transforms of prompts to the model's input coordinates, as in SAM.

The longest side is resized to the model's input size S; the input is zero-padded at the right and bottom to (S, S)
after normalization.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ..modeling.prompt_encoder import (
    ABSENT,
    BACKGROUND_POINT,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND_POINT,
    PADDING_POINT,
    PromptBatch,
)
from ..modeling.sam import normalize
from ..records import Prompt


@dataclass(frozen=True, slots=True)
class ResizeLongestSide:
    """Resize of an image to the model's input.

    Attributes:
        height, width: original size in pixels.
        input_height, input_width: size after resizing, before padding.
        side: the model's input size S.
    """

    height: int
    width: int
    input_height: int
    input_width: int
    side: int

    @classmethod
    def of(cls, height: int, width: int, side: int) -> ResizeLongestSide:
        """Create the resize of an image of (height, width) pixels."""
        scale = side / max(height, width)
        # SAM's rounding, but at least one pixel: a one-row image would round to zero.
        input_height, input_width = (max(1, int(length * scale + 0.5)) for length in (height, width))
        return cls(height, width, input_height, input_width, side)

    def apply_image(self, image: np.ndarray) -> np.ndarray:
        """Resize an image, uint8 (H, W) or (H, W, 3).

        Pillow's bilinear filter is anti-aliased when downscaling, as in training.
        """
        if image.shape[:2] == (self.input_height, self.input_width):
            return image
        size = (self.input_width, self.input_height)
        return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


class ResizedImage(NamedTuple):
    """An image at the model's input resolution.

    Attributes:
        pixels: RGB uint8 (input_height, input_width, 3).
        resize: the applied resize.
        source: the image before it, RGB uint8 (H, W, 3).
    """

    pixels: np.ndarray
    resize: ResizeLongestSide
    source: np.ndarray


def normalize_batch(images: list[np.ndarray], side: int, device: torch.device) -> Tensor:
    """Normalize and pad resized images into a float32 batch (B, 3, S, S)."""
    pixels = torch.zeros(len(images), side, side, 3, dtype=torch.uint8, device=device)
    for row, image in zip(pixels, images, strict=True):
        row[: image.shape[0], : image.shape[1]].copy_(torch.from_numpy(np.ascontiguousarray(image)), non_blocking=True)
    batch = normalize(pixels.permute(0, 3, 1, 2))
    for row, image in zip(batch, images, strict=True):
        row[:, image.shape[0] :] = 0
        row[:, :, image.shape[1] :] = 0
    return batch


def resize_mask_prompt(mask: np.ndarray, resize: ResizeLongestSide) -> Tensor:
    """Convert a coarse mask, bool (H, W), to a mask prompt as in HQ-SAM's training: 0 or 255, float (S / 4, S / 4)."""
    resized = resize.apply_image(mask.astype(np.uint8) * 255)
    padded = torch.zeros(1, 1, resize.side, resize.side)
    padded[0, 0, : resized.shape[0], : resized.shape[1]] = torch.from_numpy(resized / np.float32(255))
    size = (resize.side // 4, resize.side // 4)
    low_res = functional.interpolate(padded, size, mode="bilinear", align_corners=False)[0, 0]
    return (low_res > 0.5) * 255.0


def make_prompt_batch(
    prompts: list[Prompt], resizes: list[ResizeLongestSide], image_index: list[int], device: torch.device
) -> PromptBatch:
    """Transform P prompts to input coordinates and collate them into a flat batch.

    Args:
        prompts: in pixels of their images.
        resizes: of the image of each prompt.
        image_index: feature index of each prompt's image.
    """
    rows: list[list[tuple[float, float, int]]] = []  # x, y and label in SAM's order: points, then corners of the box
    for prompt in prompts:
        points = [] if prompt.points is None else prompt.points.tolist()
        rows.append([(x, y, FOREGROUND_POINT if label > 0.5 else BACKGROUND_POINT) for x, y, label in points])
        if prompt.box is not None:
            x0, y0, x1, y1 = prompt.box
            rows[-1] += [(x0, y0, BOX_TOP_LEFT), (x1, y1, BOX_BOTTOM_RIGHT)]
        elif points:
            rows[-1].append((0, 0, PADDING_POINT))
    longest = max(map(len, rows))
    padded = np.zeros((len(rows), longest, 3))
    padded[..., 2] = ABSENT
    for target, row, own in zip(padded, rows, resizes, strict=True):
        scale = (own.input_width / own.width, own.input_height / own.height, 1)
        target[: len(row)] = np.reshape(row, (-1, 3)) * scale
    masks = None
    if any(prompt.mask is not None for prompt in prompts):
        side = resizes[0].side // 4
        masks = torch.zeros(len(prompts), 1, side, side)
        for target_mask, prompt, resize in zip(masks, prompts, resizes, strict=True):
            if prompt.mask is not None:
                target_mask[0] = resize_mask_prompt(prompt.mask, resize)
        masks = masks.to(device)
    labeled = torch.from_numpy(padded.astype(np.float32)).to(device)
    return PromptBatch(
        image_index=torch.tensor(image_index, device=device),
        points=labeled[..., :2],
        labels=labeled[..., 2].long(),
        masks=masks,
        has_mask=torch.tensor([prompt.mask is not None for prompt in prompts], device=device),
        ragged=any(len(row) < longest for row in rows),
    )
