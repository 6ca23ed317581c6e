"""Upsample low-resolution logits to masks at the original image size, only around the mask.

SAM upsamples logits twice, bilinearly: by four to the model's input size, then (without padding) to the original size.
Interpolation between negative logits is negative, so only the neighborhood of positive logits needs either step. Every
pixel equals that of two full upsamplings, because the coordinates of the full input are kept. For crops that are a
large part of the image, and on a GPU, full upsampling is faster. SAM 2 upsamples once, from the logits to the original
size: the first step is omitted.
"""

from __future__ import annotations

import math
from itertools import groupby
from typing import NamedTuple

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


def mask_crops(logits: Tensor, resizes: list[ResizeLongestSide]) -> list[MaskCrop]:
    """Masks (logits > 0) at the original size of each image.

    Args:
        logits: (N, S / 4, S / 4) float.
        resizes: of the image of each row.
    """
    if not logits.is_cpu:
        return mask_crops_by_full_upsampling(logits, resizes)
    return [
        MaskCrop(
            (own.upsampled(row) > 0).numpy(), own.columns.start, own.rows.start, own.resize.width, own.resize.height
        )
        for row, own in zip(logits, windows(logits, resizes), strict=True)
    ]


def mask_crops_by_full_upsampling(logits: Tensor, resizes: list[ResizeLongestSide]) -> list[MaskCrop]:
    """Same as `mask_crops`, but upsamples batches of full masks, which is faster on a GPU.

    Only the crops are copied from the device, in one transfer.
    """
    if not resizes:
        return []
    places = windows(logits, resizes)
    bits: list[Tensor] = []
    for resize, group in groupby(range(len(resizes)), key=resizes.__getitem__):
        indices = list(group)
        batch_size = max(1, MAX_BATCH_PIXELS // (resize.width * resize.height))
        for start in range(0, len(indices), batch_size):
            batch = indices[start : start + batch_size]
            masks = _upsampled(logits[batch[0] : batch[-1] + 1], resize) > 0
            bits += [
                mask[places[n].rows.pixels, places[n].columns.pixels].flatten()
                for n, mask in zip(batch, masks, strict=True)
            ]
    flat = torch.cat(bits)
    on_host = torch.empty(flat.shape, dtype=torch.bool, pin_memory=flat.is_cuda).copy_(flat).numpy()
    parts = np.split(on_host, np.cumsum([len(own) for own in bits])[:-1])
    return [
        MaskCrop(part.reshape(rows.count, columns.count), columns.start, rows.start, resize.width, resize.height)
        for part, (rows, columns, resize) in zip(parts, places, strict=True)
    ]


def probability_crops(logits: Tensor, resizes: list[ResizeLongestSide]) -> list[ProbabilityCrop]:
    """Foreground probabilities at the original size of each image; arguments as in `mask_crops`."""
    logits = logits - MIN_LOGIT
    return [
        ProbabilityCrop(_to_uint8(torch.sigmoid(own.upsampled(row) + MIN_LOGIT)), own.columns.start, own.rows.start)
        for row, own in zip(logits, windows(logits, resizes), strict=True)
    ]


def _to_uint8(probabilities: Tensor) -> np.ndarray:
    return (255 * probabilities).round().to(torch.uint8).cpu().numpy()


def _upsampled(logits: Tensor, resize: ResizeLongestSide) -> Tensor:
    """SAM's postprocessing of logits (N, S / 4, S / 4): (N, height, width) at the original size."""
    stride = resize.logit_stride
    at_input = _at_input(logits[:, None], resize)
    unpadded = at_input[..., : resize.input_height // stride, : resize.input_width // stride]
    size = resize.height, resize.width
    return functional.interpolate(unpadded, size, mode="bilinear", align_corners=False)[:, 0]


def _at_input(logits: Tensor, resize: ResizeLongestSide) -> Tensor:
    """The first upsampling of logits (N, 1, h, w), or the logits themselves if the model has none."""
    scale = SCALE // resize.logit_stride
    if scale == 1:
        return logits
    return functional.interpolate(logits, scale_factor=scale, mode="bilinear", align_corners=False)


def windows(logits: Tensor, resizes: list[ResizeLongestSide]) -> list[Window]:
    """Windows around the positive logits of each of (N, S / 4, S / 4)."""
    positive, side = logits > 0, logits.shape[-1]
    bounds = [
        bound
        for line in (positive.any(dim=2), positive.any(dim=1))
        for bound in (line.int().argmax(1), (side - line.flip(1).int().argmax(1)) * line.any(1))
    ]
    return [
        Window(
            _Axis(top, bottom, side, resize.input_height, resize.height, resize.logit_stride),
            _Axis(left, right, side, resize.input_width, resize.width, resize.logit_stride),
            resize,
        )
        for (top, bottom, left, right), resize in zip(torch.stack(bounds, dim=1).tolist(), resizes, strict=True)
    ]


class Window(NamedTuple):
    """The part of an image around the positive logits of a mask, possibly without pixels."""

    rows: _Axis
    columns: _Axis
    resize: ResizeLongestSide

    def upsampled(self, logits: Tensor) -> Tensor:
        """Logits (S / 4, S / 4) at the original size: (h, w)."""
        rows, columns, resize = self
        area = rows.count * columns.count
        if not area:
            return logits.new_zeros(rows.count, columns.count)
        if area > FULL_UPSAMPLING_SHARE * resize.width * resize.height:
            return _upsampled(logits[None], resize)[0, rows.pixels, columns.pixels]
        low_res = logits[None, None, rows.first : rows.last, columns.first : columns.last]
        # The window starts on a sample, so upsampling by four keeps the phase of the full upsampling; values that are
        # clamped differently are next to negative logits only.
        at_input = _at_input(low_res, resize)[0, 0]
        low, high, weight = columns.taps(logits.device)
        across = at_input[:, low] * (1 - weight) + at_input[:, high] * weight
        low, high, weight = rows.taps(logits.device)
        weight = weight[:, None]
        return across[low] * (1 - weight) + across[high] * weight


class _Axis:
    """One axis of a window: its logits and the pixels of the original image it covers.

    Args:
        first, end: bounds of the positive logits; `end` is 0 if there are none.
        samples: axis length in logits.
        inner: axis length in the model's input, without padding.
        length: axis length in the original image.
        stride: see `ResizeLongestSide.logit_stride`.
    """

    def __init__(self, first: int, end: int, samples: int, inner: int, length: int, stride: int) -> None:
        self.first, self.last = max(first - MARGIN, 0), min(end + MARGIN, samples) if end else 0  # last is exclusive
        self.upsampling, self.inner = SCALE // stride, inner // stride
        self.scale = self.inner / length
        # Pixels with both taps inside the window.
        begin, end = self.first * self.upsampling, min(self.last * self.upsampling, self.inner)
        low = 0 if self.first == 0 else int(np.ceil((begin + 0.5) / self.scale - 0.5))
        high = length if end >= self.inner else int(np.ceil((end - 0.5) / self.scale - 0.5))
        self.start = max(low, 0)
        self.stop = max(self.start, min(high, length))
        self.pixels, self.count = slice(self.start, self.stop), self.stop - self.start

    def taps(self, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Lower tap, upper tap (indices into the window at input resolution) and weight of the upper tap, per pixel."""
        pixel = torch.arange(self.start, self.stop, dtype=torch.float32)
        source = (self.scale * (pixel + 0.5) - 0.5).clamp(min=0)
        low = source.floor().clamp(max=self.inner - 1)
        high = (low + 1).clamp(max=self.inner - 1)
        begin = self.first * self.upsampling
        return (low.long() - begin).to(device), (high.long() - begin).to(device), (source - low).to(device)
