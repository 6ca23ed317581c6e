"""Upsample low-resolution logits to masks at the original image size, only around the mask.

SAM upsamples logits twice, bilinearly: by four to the model's input size, then (without padding) to the original size.
Interpolation between negative logits is negative, so only the neighborhood of positive logits needs either step. Every
pixel equals that of two full upsamplings, because the coordinates of the full input are kept. For crops that are a
large part of the image, and on a GPU, full upsampling is faster. SAM 2 upsamples once, from the logits to the original
size: the first step is omitted.

Logits are tensors, or arrays of an exported model: importing this module does not import torch.
"""

from __future__ import annotations

import math
from copy import copy
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import cv2
import numpy as np

from ..records import MaskCrop, ProbabilityCrop
from .preprocess import ResizeLongestSide

if TYPE_CHECKING:
    from torch import Tensor

MARGIN = 2  # logits around the positive ones; with a margin of one, the second upsampling can miss a tap
MIN_LOGIT = math.log(0.5 / 254.5)  # the logit whose probability is 0.5 / 255
SCALE = 4  # from low-resolution logits to the model's input
FULL_UPSAMPLING_SHARE = 0.2  # fraction of the image area; for larger crops torch's full upsampling is faster
MAX_BATCH_PIXELS = 2**26  # full-size logits on the device; each takes four bytes, and four more during upsampling
BLOCK_PIXELS = 2**22  # upsampled at once of an image with more pixels than that
Logits = TypeVar("Logits", "Tensor", np.ndarray)


def mask_crops(logits: Logits, resizes: list[ResizeLongestSide]) -> list[MaskCrop]:
    """Masks (logits > 0) at the original size of each image.

    Args:
        logits: (N, S / 4, S / 4) float.
        resizes: of the image of each row.
    """
    if not isinstance(logits, np.ndarray) and not logits.is_cpu and not any(map(_is_large, resizes)):
        return mask_crops_by_full_upsampling(logits, resizes)
    return [
        MaskCrop(own.mask(row), own.columns.start, own.rows.start, own.resize.width, own.resize.height)
        for row, own in zip(logits, extents(logits, resizes), strict=True)
    ]


def mask_crops_by_full_upsampling(logits: Tensor, resizes: list[ResizeLongestSide]) -> list[MaskCrop]:
    """Same as `mask_crops`, but upsamples batches of full masks, which is faster on a GPU.

    Only the crops are copied from the device, in one transfer.
    """
    import torch

    if not resizes:
        return []
    places = extents(logits, resizes)
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


def probability_crops(logits: Logits, resizes: list[ResizeLongestSide]) -> list[ProbabilityCrop]:
    """Foreground probabilities at the original size of each image; arguments as in `mask_crops`."""
    logits = logits - MIN_LOGIT
    return [
        ProbabilityCrop(_probabilities(own.upsampled(row) + MIN_LOGIT), own.columns.start, own.rows.start)
        for row, own in zip(logits, extents(logits, resizes), strict=True)
    ]


def _is_large(resize: ResizeLongestSide) -> bool:
    """Whether logits at the original size take too much memory."""
    return resize.width * resize.height > MAX_BATCH_PIXELS


def _probabilities(logits: Tensor | np.ndarray) -> np.ndarray:
    if isinstance(logits, np.ndarray):
        probabilities: np.ndarray = np.rint(255 / (1 + np.exp(-logits))).astype(np.uint8)
    else:
        probabilities = (255 * logits.sigmoid()).round().byte().cpu().numpy()
    return probabilities


def _upsampled(logits: Logits, resize: ResizeLongestSide) -> Logits:
    """SAM's postprocessing of logits (N, S / 4, S / 4): (N, height, width) at the original size."""
    stride = resize.logit_stride
    unpadded = _at_input(logits, resize)[:, : resize.input_height // stride, : resize.input_width // stride]
    return _resized(unpadded, resize.height, resize.width)


def _at_input(logits: Logits, resize: ResizeLongestSide) -> Logits:
    """The first upsampling of logits (N, h, w), or the logits themselves if the model has none."""
    scale = SCALE // resize.logit_stride
    return logits if scale == 1 else _resized(logits, scale * logits.shape[1], scale * logits.shape[2])


def _resized(logits: Logits, height: int, width: int) -> Logits:
    """Logits (N, h, w), bilinearly upsampled to (N, height, width)."""
    if isinstance(logits, np.ndarray):
        return np.stack([cv2.resize(row, (width, height), interpolation=cv2.INTER_LINEAR) for row in logits])
    from torch.nn import functional

    return functional.interpolate(logits[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]


def _beside(logits: Logits, array: np.ndarray) -> Logits:
    """An array; as a tensor on the device of the logits, if they are one."""
    if isinstance(logits, np.ndarray):
        return array
    import torch

    return torch.from_numpy(array).to(logits.device)


def extents(logits: Logits, resizes: list[ResizeLongestSide]) -> list[Extent]:
    """Extents of the positive logits of each of (N, S / 4, S / 4)."""
    side = logits.shape[-1]
    if isinstance(logits, np.ndarray):
        lines = np.stack([logits.max(axis=2), logits.max(axis=1)]) > 0
    else:
        import torch

        # One transfer; and torch is many times faster at maxima than at `any`.
        lines = torch.stack([logits.amax(dim=2), logits.amax(dim=1)]).cpu().numpy() > 0
    firsts, ends = lines.argmax(2), (side - lines[..., ::-1].argmax(2)) * lines.any(2)
    bounds = np.stack([firsts[0], ends[0], firsts[1], ends[1]], axis=1)
    return [
        Extent(
            _Axis(top, bottom, side, resize.input_height, resize.height, resize.logit_stride),
            _Axis(left, right, side, resize.input_width, resize.width, resize.logit_stride),
            resize,
        )
        for (top, bottom, left, right), resize in zip(bounds.tolist(), resizes, strict=True)
    ]


class Extent(NamedTuple):
    """The part of an image around the positive logits of a mask, possibly without pixels."""

    rows: _Axis
    columns: _Axis
    resize: ResizeLongestSide

    def mask(self, logits: Logits) -> np.ndarray:
        """The pixels whose logits are positive, bool (h, w); of a large image, upsampled in blocks of rows."""
        rows, columns, resize = self
        step = max(BLOCK_PIXELS // max(columns.count, 1), 1) if _is_large(resize) else max(rows.count, 1)
        starts = range(rows.start, max(rows.stop, rows.start + 1), step)
        blocks = [self._replace(rows=rows.part(start, start + step)).upsampled(logits) > 0 for start in starts]
        on_host = [own if isinstance(own, np.ndarray) else own.cpu().numpy() for own in blocks]
        return on_host[0] if len(on_host) == 1 else np.concatenate(on_host)

    def upsampled(self, logits: Logits) -> Logits:
        """Logits (S / 4, S / 4) at the original size: (h, w), (0, 0) without pixels."""
        rows, columns, resize = self
        area = rows.count * columns.count
        if not area:
            return logits[:0, :0]
        if area > FULL_UPSAMPLING_SHARE * resize.width * resize.height and not _is_large(resize):
            return _upsampled(logits[None], resize)[0, rows.pixels, columns.pixels]
        low_res = logits[None, rows.first : rows.last, columns.first : columns.last]
        # The extent starts on a sample, so upsampling by four keeps the phase of the full upsampling; values that are
        # clamped differently are next to negative logits only.
        at_input = _at_input(low_res, resize)[0]
        above, below, share = rows.taps()
        top = int(above[0])
        at_input = at_input[top : int(below[-1]) + 1]
        low, high, weight = (_beside(logits, own) for own in columns.taps())
        across = at_input[:, low] * (1 - weight) + at_input[:, high] * weight
        low, high, weight = (_beside(logits, own) for own in (above - top, below - top, share[:, None]))
        upsampled: Logits = across[low] * (1 - weight) + across[high] * weight
        return upsampled


class _Axis:
    """One axis of an extent: its logits and the pixels of the original image it covers.

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
        # Pixels with both taps inside the extent.
        begin, end = self.first * self.upsampling, min(self.last * self.upsampling, self.inner)
        low = 0 if self.first == 0 else int(np.ceil((begin + 0.5) / self.scale - 0.5))
        high = length if end >= self.inner else int(np.ceil((end - 0.5) / self.scale - 0.5))
        self.start = max(low, 0)
        self.stop = max(self.start, min(high, length))

    @property
    def pixels(self) -> slice:
        """Its pixels."""
        return slice(self.start, self.stop)

    @property
    def count(self) -> int:
        """Number of its pixels."""
        return self.stop - self.start

    def part(self, start: int, stop: int) -> _Axis:
        """The same axis with only the pixels from `start` to `stop`."""
        own = copy(self)
        own.start, own.stop = start, min(stop, self.stop)
        return own

    def taps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lower tap, upper tap (indices into the extent at input resolution) and weight of the upper tap, per pixel."""
        pixel = np.arange(self.start, self.stop, dtype=np.float32)
        source = np.maximum(np.float32(self.scale) * (pixel + np.float32(0.5)) - np.float32(0.5), 0)
        low = np.minimum(np.floor(source), self.inner - 1)
        high = np.minimum(low + 1, self.inner - 1)
        begin = self.first * self.upsampling
        return low.astype(np.int64) - begin, high.astype(np.int64) - begin, source - low
