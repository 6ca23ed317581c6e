"""From photos and prompts in their own pixels to the model's square.

The longest side becomes S; the rest of the square is zero after normalizing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from .modeling.prompt_encoder import (
    ABSENT,
    BACKGROUND_POINT,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND_POINT,
    PADDING_POINT,
    PromptBatch,
)
from .modeling.sam import normalize
from .records import Prompt


@dataclass(frozen=True, slots=True)
class ResizeLongestSide:
    """Where an image lies in the model's square.

    Attributes:
        height, width: size of the image in its own pixels.
        input_height, input_width: its size in the square; the rest is padding.
        side: S.
    """

    height: int
    width: int
    input_height: int
    input_width: int
    side: int

    @classmethod
    def of(cls, height: int, width: int, side: int) -> ResizeLongestSide:
        """Where an image of that size lies."""
        scale = side / max(height, width)
        # A line of pixels would round to nothing; the authors' rounding otherwise.
        input_height, input_width = (max(1, int(length * scale + 0.5)) for length in (height, width))
        return cls(height, width, input_height, input_width, side)

    def apply_coords(self, points: np.ndarray) -> np.ndarray:
        """x and y (n, 2) in the image's pixels to the square's."""
        placed: np.ndarray = points * np.array([self.input_width / self.width, self.input_height / self.height])
        return placed


class ResizedImage(NamedTuple):
    """An image as the model sees it.

    Attributes:
        pixels: RGB uint8 (input_height, input_width, 3).
        resize: how the image lies in the square.
    """

    pixels: np.ndarray
    resize: ResizeLongestSide

    @classmethod
    def of(cls, image: np.ndarray, side: int) -> ResizedImage:
        """An image, RGB uint8 (H, W, 3), for a model of that side."""
        resize = ResizeLongestSide.of(image.shape[0], image.shape[1], side)
        return cls(resize_longest_side(image, resize), resize)


def resize_longest_side(image: np.ndarray, resize: ResizeLongestSide) -> np.ndarray:
    """The image at its size in the square, uint8 (input_height, input_width, 3).

    Pillow's bilinear filter is anti-aliased when it shrinks; the weights were trained with it.
    """
    if image.shape[:2] == (resize.input_height, resize.input_width):
        return image
    size = (resize.input_width, resize.input_height)
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def normalize_batch(images: list[np.ndarray], side: int, device: torch.device) -> Tensor:
    """Images that fit the square as one float32 batch (B, 3, S, S); padding is zero."""
    batch = torch.zeros(len(images), 3, side, side, device=device)
    for row, image in zip(batch, images, strict=True):
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(device, non_blocking=True)
        row[:, : image.shape[0], : image.shape[1]] = normalize(pixels.permute(2, 0, 1))
    return batch


def resize_mask_prompt(mask: np.ndarray, resize: ResizeLongestSide) -> Tensor:
    """A coarse mask, bool (H, W), as the mask prompt HQ-SAM was trained with: 0 / 255, float (S / 4, S / 4)."""
    inner = resize_longest_side(mask.astype(np.uint8) * 255, resize)
    full = torch.zeros(1, 1, resize.side, resize.side)
    full[0, 0, : inner.shape[0], : inner.shape[1]] = torch.from_numpy(inner / np.float32(255))
    quarter = (resize.side // 4, resize.side // 4)
    small = functional.interpolate(full, quarter, mode="bilinear", align_corners=False)[0, 0]
    return (small > 0.5) * 255.0


def make_prompt_batch(
    prompts: list[Prompt], resizes: list[ResizeLongestSide], image_index: list[int], device: torch.device
) -> PromptBatch:
    """Prompts in the pixels of their images as one flat batch.

    Args:
        prompts: P prompts, fit to their images; `mask` is a bool array or None.
        resizes: how each prompt's image lies in the square.
        image_index: the row of each prompt's image among the features.
    """
    rows = [_labeled_points(prompt, resize) for prompt, resize in zip(prompts, resizes, strict=True)]
    longest = max(len(row) for row in rows)
    filled = np.zeros((len(rows), longest, 3), np.float32)
    filled[..., 2] = ABSENT
    for target, row in zip(filled, rows, strict=True):
        target[: len(row)] = row
    masks = None
    if any(prompt.mask is not None for prompt in prompts):
        side = resizes[0].side // 4
        masks = torch.zeros(len(prompts), 1, side, side)
        for target_mask, prompt, resize in zip(masks, prompts, resizes, strict=True):
            if prompt.mask is not None:
                target_mask[0] = resize_mask_prompt(prompt.mask, resize)
        masks = masks.to(device)
    tensor = torch.from_numpy(filled).to(device)
    return PromptBatch(
        image_index=torch.tensor(image_index, device=device),
        points=tensor[..., :2],
        labels=tensor[..., 2].long(),
        masks=masks,
        has_mask=torch.tensor([prompt.mask is not None for prompt in prompts], device=device),
        ragged=any(len(row) < longest for row in rows),
    )


def _labeled_points(prompt: Prompt, resize: ResizeLongestSide) -> np.ndarray:
    """Points and corners of a prompt as (T, 3) x, y, label in the square, in SAM's order."""
    parts = []
    if prompt.points is not None and len(prompt.points):
        labels = np.where(prompt.points[:, 2:] > 0.5, FOREGROUND_POINT, BACKGROUND_POINT)
        parts.append(np.hstack([resize.apply_coords(prompt.points[:, :2]), labels]))
        if prompt.box is None:
            parts.append(np.array([[0, 0, PADDING_POINT]]))
    if prompt.box is not None:
        corners = resize.apply_coords(np.array(prompt.box).reshape(2, 2))
        parts.append(np.hstack([corners, [[BOX_TOP_LEFT], [BOX_BOTTOM_RIGHT]]]))
    return np.vstack(parts) if parts else np.zeros((0, 3))
