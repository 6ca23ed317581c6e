"""From low-resolution logits to masks at the size of the photo, working only where the mask is.

SAM resizes logits twice, bilinearly: by four to its square, then (without the padding) to the photo. Values
between negative samples stay negative, so only the surroundings of positive samples need either step. Every
pixel is the same as after the two full resizes, because both steps keep the coordinates of the full square.
Where that is a large part of the photo, and on a GPU, the two full resizes themselves are faster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .records import AlphaCrop, MaskCrop
from .transforms import ResizeLongestSide

GROW = 2  # low-resolution samples around the positive ones; with one, the second resize can miss a tap
FAINTEST = math.log(0.5 / 254.5)  # the logit whose alpha is half a step of 255
SCALE = 4  # from low-resolution logits to the square
WHOLE_SHARE = 0.2  # of the photo; a larger crop is made faster by torch's own resizes of the whole
PIXELS_AT_ONCE = 2**26  # of whole masks; one takes four bytes, and as many again while it is made
Region: TypeAlias = tuple[int, int, int, int]


def positive_regions(logits: Tensor) -> list[Region | None]:
    """For each of (N, h, w) logits: first row, last row, first and last column with a value over 0, or None."""
    positive = logits > 0
    rows, columns = positive.any(dim=2), positive.any(dim=1)
    height, width = logits.shape[1:]
    bounds = torch.stack(
        [
            rows.int().argmax(1),
            height - 1 - rows.flip(1).int().argmax(1),
            columns.int().argmax(1),
            width - 1 - columns.flip(1).int().argmax(1),
            rows.any(dim=1),
        ],
        dim=1,
    )
    return [(top, bottom, left, right) if some else None for top, bottom, left, right, some in bounds.tolist()]


class LogitCrop(NamedTuple):
    """Logits at the size of the photo, where they are over some level; elsewhere they are not.

    Attributes:
        values: float (h, w), how far logits are over that level.
        x, y: position of `values[0, 0]` in the photo.
    """

    values: Tensor
    x: int
    y: int


def mask_crops(logits: Tensor, resizes: list[ResizeLongestSide]) -> list[MaskCrop]:
    """Masks (logits over 0) at the size of each photo.

    Args:
        logits: (N, S / 4, S / 4) float.
        resizes: how each row's photo lies in the square.
    """
    if not logits.is_cpu:
        return whole_mask_crops(logits, resizes)
    crops = logit_crops(logits, resizes)
    return [
        MaskCrop((crop.values > 0).numpy(), crop.x, crop.y, resize.width, resize.height)
        for crop, resize in zip(crops, resizes, strict=True)
    ]


def whole_mask_crops(logits: Tensor, resizes: list[ResizeLongestSide]) -> list[MaskCrop]:
    """The same as `mask_crops`, by the two full resizes of many masks at once.

    A GPU does that faster than it is told of the surroundings of each mask by itself. What leaves it are crops, all
    of them in one transfer.
    """
    if not resizes:
        return []
    regions = zip(positive_regions(logits), resizes, strict=True)
    axes = [_axes(region, logits.shape[-2:], resize) for region, resize in regions]
    places = [(slice(0, 0), slice(0, 0)) if own is None else (own[0].reach, own[1].reach) for own in axes]
    bits: list[Tensor] = []
    for resize, group in groupby(range(len(resizes)), key=resizes.__getitem__):
        numbers = list(group)
        at_once = max(1, PIXELS_AT_ONCE // (resize.width * resize.height))
        for start in range(0, len(numbers), at_once):
            some = numbers[start : start + at_once]
            masks = _resized(logits[some[0] : some[-1] + 1], resize) > 0
            bits += [mask[places[n]].flatten() for n, mask in zip(some, masks, strict=True)]
    flat = torch.cat(bits)
    fetched = torch.empty(flat.shape, dtype=torch.bool, pin_memory=flat.is_cuda).copy_(flat).numpy()
    parts = np.split(fetched, np.cumsum([len(own) for own in bits])[:-1])
    return [
        MaskCrop(
            part.reshape(rows.stop - rows.start, columns.stop - columns.start),
            columns.start,
            rows.start,
            resize.width,
            resize.height,
        )
        for part, (rows, columns), resize in zip(parts, places, resizes, strict=True)
    ]


def _resized(logits: Tensor, resize: ResizeLongestSide) -> Tensor:
    """Logits (N, S / 4, S / 4) at the size of the photo, (N, height, width), as SAM resizes them."""
    square = functional.interpolate(logits[:, None], scale_factor=SCALE, mode="bilinear", align_corners=False)
    inner = square[..., : resize.input_height, : resize.input_width]
    size = resize.height, resize.width
    return functional.interpolate(inner, size, mode="bilinear", align_corners=False)[:, 0]


def alpha_crops(logits: Tensor, resizes: list[ResizeLongestSide]) -> list[AlphaCrop]:
    """How sure each pixel at the size of each photo is; arguments as in `mask_crops`."""
    crops = logit_crops(logits, resizes, level=FAINTEST)
    return [AlphaCrop(_alpha(crop.values), crop.x, crop.y) for crop in crops]


def _alpha(over: Tensor) -> np.ndarray:
    return (255 * torch.sigmoid(over + FAINTEST)).round().to(torch.uint8).cpu().numpy()


def logit_crops(logits: Tensor, resizes: list[ResizeLongestSide], *, level: float = 0.0) -> list[LogitCrop]:
    """Logits at the size of each photo where they are over `level`, as how far they are over it."""
    over = logits - level if level else logits
    regions = positive_regions(over)
    return [_crop(row, region, resize) for row, region, resize in zip(over, regions, resizes, strict=True)]


def _crop(logits: Tensor, region: Region | None, resize: ResizeLongestSide) -> LogitCrop:
    empty = LogitCrop(logits.new_zeros(0, 0), 0, 0)
    if (axes := _axes(region, logits.shape, resize)) is None:
        return empty
    rows, columns = axes
    area = (rows.out_last - rows.out_first) * (columns.out_last - columns.out_first)
    if area > WHOLE_SHARE * resize.width * resize.height:
        values = _resized(logits[None], resize)[0, rows.reach, columns.reach]
        return LogitCrop(values, columns.out_first, rows.out_first)
    small = logits[None, None, rows.first : rows.last, columns.first : columns.last]
    # Every crop starts on a sample, so a plain resize by four has the phase of the full one; what it clamps
    # differently lies beside negative samples only.
    middle = functional.interpolate(small, scale_factor=SCALE, mode="bilinear", align_corners=False)[0, 0]
    low, high, weight = columns.taps(logits.device)
    across = middle[:, low] * (1 - weight) + middle[:, high] * weight
    low, high, weight = rows.taps(logits.device)
    weight = weight[:, None]
    values = across[low] * (1 - weight) + across[high] * weight
    return LogitCrop(values, columns.out_first, rows.out_first)


def _axes(region: Region | None, shape: Sequence[int], resize: ResizeLongestSide) -> tuple[_Axis, _Axis] | None:
    """Rows and columns of the crop around a region of logits of that shape (h, w); None if it reaches no pixel."""
    if region is None:
        return None
    top, bottom, left, right = region
    rows = _Axis.of(top, bottom, shape[0], resize.input_height, resize.height)
    columns = _Axis.of(left, right, shape[1], resize.input_width, resize.width)
    return None if rows.out_first >= rows.out_last or columns.out_first >= columns.out_last else (rows, columns)


class _Axis:
    """One axis of a crop: which samples it needs, and which output pixels it can reach."""

    def __init__(self, first: int, last: int, inner: int, length: int) -> None:
        self.first, self.last = first, last  # low-resolution samples, last excluded
        self.inner, self.length = inner, length
        self.scale = inner / length
        # Output pixels whose two taps both lie inside the crop.
        begin, end = first * SCALE, min(last * SCALE, inner)
        low = 0 if first == 0 else int(np.ceil((begin + 0.5) / self.scale - 0.5))
        high = length if end >= inner else int(np.ceil((end - 0.5) / self.scale - 0.5))
        self.out_first, self.out_last = max(low, 0), min(high, length)

    @classmethod
    def of(cls, first: int, last: int, samples: int, inner: int, length: int) -> _Axis:
        """The axis of positive samples `first` to `last`, both included."""
        return cls(max(first - GROW, 0), min(last + GROW + 1, samples), inner, length)

    @property
    def reach(self) -> slice:
        """The output pixels."""
        return slice(self.out_first, self.out_last)

    def taps(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Lower tap, upper tap (rows of the crop in the square) and the upper's weight, for each output pixel."""
        pixel = torch.arange(self.out_first, self.out_last, dtype=torch.float32)
        source = (self.scale * (pixel + 0.5) - 0.5).clamp(min=0)
        low = source.floor().clamp(max=self.inner - 1)
        high = (low + 1).clamp(max=self.inner - 1)
        begin = self.first * SCALE
        return (low.long() - begin).to(device), (high.long() - begin).to(device), (source - low).to(device)
