"""Image resizing, normalization and padding, and transforms of prompts to the model's input coordinates, as in SAM.

The longest side is resized to the model's input size S; the input is zero-padded at the right and bottom to (S, S)
after normalization. SAM 2 resizes images to (S, S) instead. Importing this module does not import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import numpy as np
from PIL import Image

from ..modeling.prompt_labels import (
    ABSENT,
    BACKGROUND_POINT,
    BOX_BOTTOM_RIGHT,
    BOX_TOP_LEFT,
    FOREGROUND_POINT,
    PADDING_POINT,
)
from ..records import Prompt

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ..modeling.prompt_encoder import PromptBatch


@dataclass(frozen=True, slots=True)
class ResizeLongestSide:
    """Resize of an image to the model's input.

    Attributes:
        height, width: original size in pixels.
        input_height, input_width: size after resizing, before padding.
        side: the model's input size S.
        logit_stride: pixels of the input per logit that is resized to the original size; 1, since logits are upsampled
            to the input first.
    """

    logit_stride: ClassVar[int] = 1
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


@dataclass(frozen=True, slots=True)
class ResizeSquare(ResizeLongestSide):
    """SAM 2's resize of an image to a square, from which logits are resized to the original size in one step."""

    logit_stride: ClassVar[int] = 4

    @classmethod
    def of(cls, height: int, width: int, side: int) -> ResizeSquare:
        """Create the resize of an image of (height, width) pixels."""
        return cls(height, width, side, side, side)

    def apply_image(self, image: np.ndarray) -> np.ndarray:
        """Resize an image, uint8 (H, W) or (H, W, 3), to float32 0 to 255.

        Of floats, Pillow's bilinear filter is that of torch with `antialias`, as in SAM 2.
        """
        size = (self.side, self.side)
        planes = [Image.fromarray(own.astype(np.float32)) for own in np.moveaxis(np.atleast_3d(image), -1, 0)]
        resized = [np.asarray(own.resize(size, Image.Resampling.BILINEAR)) for own in planes]
        return np.stack(resized, axis=-1).reshape(*size, *image.shape[2:])


class WindowedImage(Protocol):
    """An image, or a window of one, that may be too large for memory: `image[y0:y1, x0:x1]` is a window of it.

    See `io.rasters`.
    """

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, 3)."""

    def __getitem__(self, window: tuple[slice, slice]) -> WindowedImage: ...

    def reduced(self, height: int, width: int) -> np.ndarray:
        """Read it, RGB uint8 (h, w, 3); at the smaller size (height, width) if it has many pixels."""


class ResizedImage(NamedTuple):
    """An image at the model's input resolution.

    Attributes:
        pixels: RGB uint8 or float32 (input_height, input_width, 3), 0 to 255.
        resize: the applied resize.
        source: the image before it, RGB uint8 (H, W, 3).
    """

    pixels: np.ndarray
    resize: ResizeLongestSide
    source: np.ndarray | WindowedImage


class PromptArrays(NamedTuple):
    """P prompts in input coordinates; see `PromptBatch`.

    Attributes:
        points: float32 (P, T, 2).
        labels: int64 (P, T).
        masks: float32 (P, 1, S / 4, S / 4), None if no prompt has a mask.
        has_mask: bool (P,).
    """

    points: np.ndarray
    labels: np.ndarray
    masks: np.ndarray | None
    has_mask: np.ndarray


def prompt_arrays(prompts: Sequence[Prompt], resizes: Sequence[ResizeLongestSide]) -> PromptArrays:
    """Transform P prompts to input coordinates.

    Args:
        prompts: in pixels of their images.
        resizes: of the image of each prompt.
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
    padded = np.zeros((len(rows), max(map(len, rows)), 3))
    padded[..., 2] = ABSENT
    for target, row, own in zip(padded, rows, resizes, strict=True):
        scale = (own.input_width / own.width, own.input_height / own.height, 1)
        target[: len(row)] = np.reshape(row, (-1, 3)) * scale
    masks = None
    if any(prompt.mask is not None for prompt in prompts):
        side = resizes[0].side // 4
        masks = np.zeros((len(prompts), 1, side, side), np.float32)
        for target_mask, prompt, resize in zip(masks, prompts, resizes, strict=True):
            if prompt.mask is not None:
                target_mask[0] = resize_mask_prompt(prompt.mask, resize)
    has_mask = np.array([prompt.mask is not None for prompt in prompts])
    return PromptArrays(padded[..., :2].astype(np.float32), padded[..., 2].astype(np.int64), masks, has_mask)


def resize_mask_prompt(mask: np.ndarray, resize: ResizeLongestSide) -> np.ndarray:
    """Convert a coarse mask, bool (H, W), to a mask prompt as in HQ-SAM's training: 0 or 255, float (S / 4, S / 4)."""
    resized = resize.apply_image(mask.astype(np.uint8) * 255)
    padded = np.zeros((resize.side, resize.side), np.float32)
    padded[: resized.shape[0], : resized.shape[1]] = resized
    # Bilinear downscaling by four averages the middle two of four pixels on each axis.
    rows = padded[1::4] + padded[2::4]
    return np.where(rows[:, 1::4] + rows[:, 2::4] > 4 * 255 // 2, np.float32(255), np.float32(0))


def normalize_batch(images: list[np.ndarray], side: int, device: torch.device) -> Tensor:
    """Normalize and pad resized images into a float32 batch (B, 3, S, S)."""
    import torch

    from ..modeling.sam import normalize

    on_host = [torch.from_numpy(np.ascontiguousarray(image)) for image in images]
    pixels = torch.zeros(len(images), side, side, 3, dtype=on_host[0].dtype, device=device)
    for row, image in zip(pixels, on_host, strict=True):
        row[: image.shape[0], : image.shape[1]].copy_(image, non_blocking=True)
    batch = normalize(pixels.permute(0, 3, 1, 2))
    for row, image in zip(batch, on_host, strict=True):
        row[:, image.shape[0] :] = 0
        row[:, :, image.shape[1] :] = 0
    return batch


def make_prompt_batch(
    prompts: list[Prompt], resizes: list[ResizeLongestSide], image_index: list[int], device: torch.device
) -> PromptBatch:
    """Collate P prompts into a flat batch; arguments as in `prompt_arrays`.

    Args:
        image_index: feature index of each prompt's image.
    """
    import torch

    from ..modeling.prompt_encoder import PromptBatch

    arrays = prompt_arrays(prompts, resizes)
    return PromptBatch(
        image_index=torch.tensor(image_index, device=device),
        points=torch.from_numpy(arrays.points).to(device),
        labels=torch.from_numpy(arrays.labels).to(device),
        masks=None if arrays.masks is None else torch.from_numpy(arrays.masks).to(device),
        has_mask=torch.from_numpy(arrays.has_mask).to(device),
        ragged=bool((arrays.labels == ABSENT).any()),
    )
