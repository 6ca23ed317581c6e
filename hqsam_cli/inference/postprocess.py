"""Upsample low-resolution logits to masks at the original image size, only around the mask.

SAM upsamples logits twice, bilinearly: by four to the model's input size, then (without padding) to the original size.
Interpolation between negative logits is negative, so only the neighborhood of positive logits needs either step. Every
pixel equals that of two full upsamplings, because the coordinates of the full input are kept. For crops that are a
large part of the image, and on a GPU, full upsampling is faster.
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..records import MaskCrop, ProbabilityCrop
from .preprocess import ResizeLongestSide

MARGIN = 2  # logits around the positive ones; with a margin of one, the second upsampling can miss a tap
MIN_LOGIT = math.log(0.5 / 254.5)  # the logit whose probability is 0.5 / 255
SCALE = 4  # from low-resolution logits to the model's input
FULL_UPSAMPLING_SHARE = 0.2  # fraction of the image area; for larger crops torch's full upsampling is faster
MAX_BATCH_PIXELS = 2**26  # full-size logits on the device; each takes four bytes, and four more during upsampling
Region: TypeAlias = tuple[int, int, int, int]


def positive_regions(logits: Tensor) -> list[Region | None]:
    """Bounds of the positive logits for each of (N, h, w): first and last row, first and last column, or None."""
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


def mask_iou(one: Tensor, other: Tensor) -> Tensor:
    """IoU of bool masks (..., h, w): (...); 0 if both are empty."""
    union = (one | other).sum(dim=(-2, -1)).clamp(min=1)
    return (one & other).sum(dim=(-2, -1)) / union


class LogitCrop(NamedTuple):
    """Logits minus a threshold at the original image size, cropped; negative outside the crop.

    Attributes:
        values: float (h, w).
        x, y: position of `values[0, 0]` in the image.
    """

    values: Tensor
    x: int
    y: int


def mask_crops(logits: Tensor, resizes: list[ResizeLongestSide]) -> list[MaskCrop]:
    """Masks (logits > 0) at the original size of each image.

    Args:
        logits: (N, S / 4, S / 4) float.
        resizes: of the image of each row.
    """
    if not logits.is_cpu:
        return mask_crops_by_full_upsampling(logits, resizes)
    return [
        MaskCrop((crop.values > 0).numpy(), crop.x, crop.y, resize.width, resize.height)
        for crop, resize in zip(logit_crops(logits, resizes), resizes, strict=True)
    ]


def mask_crops_by_full_upsampling(logits: Tensor, resizes: list[ResizeLongestSide]) -> list[MaskCrop]:
    """Same as `mask_crops`, but upsamples batches of full masks, which is faster on a GPU.

    Only the crops are copied from the device, in one transfer.
    """
    if not resizes:
        return []
    empty = slice(0, 0), slice(0, 0)
    slices = [empty if own is None else (own[0].pixels, own[1].pixels) for own in _axes(logits, resizes)]
    bits: list[Tensor] = []
    for resize, group in groupby(range(len(resizes)), key=resizes.__getitem__):
        indices = list(group)
        batch_size = max(1, MAX_BATCH_PIXELS // (resize.width * resize.height))
        for start in range(0, len(indices), batch_size):
            batch = indices[start : start + batch_size]
            masks = _upsampled(logits[batch[0] : batch[-1] + 1], resize) > 0
            bits += [mask[slices[n]].flatten() for n, mask in zip(batch, masks, strict=True)]
    flat = torch.cat(bits)
    on_host = torch.empty(flat.shape, dtype=torch.bool, pin_memory=flat.is_cuda).copy_(flat).numpy()
    parts = np.split(on_host, np.cumsum([len(own) for own in bits])[:-1])
    return [
        MaskCrop(
            part.reshape(rows.stop - rows.start, columns.stop - columns.start),
            columns.start,
            rows.start,
            resize.width,
            resize.height,
        )
        for part, (rows, columns), resize in zip(parts, slices, resizes, strict=True)
    ]


def probability_crops(logits: Tensor, resizes: list[ResizeLongestSide]) -> list[ProbabilityCrop]:
    """Foreground probabilities at the original size of each image; arguments as in `mask_crops`."""
    crops = logit_crops(logits, resizes, threshold=MIN_LOGIT)
    return [ProbabilityCrop(_to_uint8(torch.sigmoid(crop.values + MIN_LOGIT)), crop.x, crop.y) for crop in crops]


def _to_uint8(probabilities: Tensor) -> np.ndarray:
    return (255 * probabilities).round().to(torch.uint8).cpu().numpy()


def logit_crops(logits: Tensor, resizes: list[ResizeLongestSide], *, threshold: float = 0.0) -> list[LogitCrop]:
    """Logits minus `threshold` at the original size of each image, cropped to the positive region."""
    logits = logits - threshold if threshold else logits
    crops = []
    for row, axes, resize in zip(logits, _axes(logits, resizes), resizes, strict=True):
        if axes is None:
            crops.append(LogitCrop(logits.new_zeros(0, 0), 0, 0))
            continue
        rows, columns = axes
        area = (rows.out_last - rows.out_first) * (columns.out_last - columns.out_first)
        if area > FULL_UPSAMPLING_SHARE * resize.width * resize.height:
            values = _upsampled(row[None], resize)[0, rows.pixels, columns.pixels]
        else:
            low_res = row[None, None, rows.first : rows.last, columns.first : columns.last]
            # The crop starts on a sample, so upsampling by four keeps the phase of the full upsampling; values that are
            # clamped differently are next to negative logits only.
            at_input = functional.interpolate(low_res, scale_factor=SCALE, mode="bilinear", align_corners=False)[0, 0]
            low, high, weight = columns.taps(logits.device)
            across = at_input[:, low] * (1 - weight) + at_input[:, high] * weight
            low, high, weight = rows.taps(logits.device)
            weight = weight[:, None]
            values = across[low] * (1 - weight) + across[high] * weight
        crops.append(LogitCrop(values, columns.out_first, rows.out_first))
    return crops


def _upsampled(logits: Tensor, resize: ResizeLongestSide) -> Tensor:
    """SAM's postprocessing of logits (N, S / 4, S / 4): (N, height, width) at the original size."""
    at_input = functional.interpolate(logits[:, None], scale_factor=SCALE, mode="bilinear", align_corners=False)
    unpadded = at_input[..., : resize.input_height, : resize.input_width]
    size = resize.height, resize.width
    return functional.interpolate(unpadded, size, mode="bilinear", align_corners=False)[:, 0]


def _axes(logits: Tensor, resizes: list[ResizeLongestSide]) -> list[tuple[_Axis, _Axis] | None]:
    """Rows and columns of the crops around the positive logits of each of (N, h, w); None if a crop has no pixels."""
    axes: list[tuple[_Axis, _Axis] | None] = []
    for region, resize in zip(positive_regions(logits), resizes, strict=True):
        if region is None:
            axes.append(None)
            continue
        top, bottom, left, right = region
        rows = _Axis(top, bottom, logits.shape[1], resize.input_height, resize.height)
        columns = _Axis(left, right, logits.shape[2], resize.input_width, resize.width)
        is_empty = rows.out_first >= rows.out_last or columns.out_first >= columns.out_last
        axes.append(None if is_empty else (rows, columns))
    return axes


class _Axis:
    """One axis of a crop: its logits and the pixels of the original image it covers.

    Args:
        first, last: positive logits, inclusive.
        samples: axis length in logits.
        inner: axis length in the model's input, without padding.
        length: axis length in the original image.
    """

    def __init__(self, first: int, last: int, samples: int, inner: int, length: int) -> None:
        self.first, self.last = max(first - MARGIN, 0), min(last + MARGIN + 1, samples)  # last is exclusive
        self.inner, self.scale = inner, inner / length
        # Pixels with both taps inside the crop.
        begin, end = self.first * SCALE, min(self.last * SCALE, inner)
        low = 0 if self.first == 0 else int(np.ceil((begin + 0.5) / self.scale - 0.5))
        high = length if end >= inner else int(np.ceil((end - 0.5) / self.scale - 0.5))
        self.out_first, self.out_last = max(low, 0), min(high, length)

    @property
    def pixels(self) -> slice:
        """Pixels of the original image covered by the crop."""
        return slice(self.out_first, self.out_last)

    def taps(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Lower tap, upper tap (indices into the crop at input resolution) and weight of the upper tap, per pixel."""
        pixel = torch.arange(self.out_first, self.out_last, dtype=torch.float32)
        source = (self.scale * (pixel + 0.5) - 0.5).clamp(min=0)
        low = source.floor().clamp(max=self.inner - 1)
        high = (low + 1).clamp(max=self.inner - 1)
        begin = self.first * SCALE
        return (low.long() - begin).to(device), (high.long() - begin).to(device), (source - low).to(device)
