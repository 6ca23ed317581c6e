"""Benchmark of the model stages on this machine, relative to its matrix multiplication throughput."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode, conv_flop_count

from ..modeling.layers import HAS_CONV_GELU
from ..records import Prompt
from .predictor import Predictor

MATRIX_SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}
MATRIX_TRIALS = 5
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """Medians over images, in seconds.

    Attributes:
        encode: per image, including the resize.
        decode: per prompt, from features to the mask at the original size.
        write: per mask, to RLE.
        image: per image with all its prompts, sequentially.
        operations: FLOPs per image with all its prompts.
        rate: FLOPs per second of encoder and decoder together.
    """

    encode: float
    decode: float
    write: float
    image: float
    operations: int
    rate: float


def random_boxes(width: int, height: int, count: int) -> list[Prompt]:
    """Random boxes of 0.1 to 0.4 of the image's width and height, with a fixed seed."""
    rng = np.random.default_rng(SEED)
    corners = rng.uniform(0, 0.6, (count, 2)) * (width, height)
    ends = corners + rng.uniform(0.1, 0.4, (count, 2)) * (width, height)
    return [Prompt(n, box=(x0, y0, x1, y1)) for n, (x0, y0, x1, y1) in enumerate(np.hstack([corners, ends]).tolist())]


def random_photo(width: int, height: int) -> np.ndarray:
    """Random image of smooth colors, RGB uint8 (H, W, 3), with a fixed seed."""
    import cv2

    coarse = np.random.default_rng(SEED).integers(0, 256, (8, 12, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOPs per second of large square matrix products; the best of several trials."""
    side = MATRIX_SIDE.get(device.type, MATRIX_SIDE["cpu"])
    left, right = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    times = []
    for _ in range(MATRIX_TRIALS + 1):  # the first is a warm-up
        began = _now(device)
        left @ right
        times.append(_now(device) - began)
    return float(2 * side**3 / min(times[1:]))


def measure_stages(predictor: Predictor, photos: Sequence[np.ndarray], boxes: int) -> StageTimes:
    """Time the stages on images, RGB uint8 (H, W, 3), each with `boxes` random boxes."""
    device = predictor.model.device
    work = [([photo], [random_boxes(photo.shape[1], photo.shape[0], boxes)]) for photo in photos]
    custom = {torch.ops.mkldnn._convolution_pointwise: _convolution_operations} if HAS_CONV_GELU else {}
    with FlopCounterMode(display=False, custom_mapping=custom) as counter:
        predictor.predict_batch(*work[0])
    predictor.predict_batch(*work[0])  # warm-up
    rows = []
    for photo, prompts in work:
        times = [_now(device)]
        encoded = predictor.encode(photo)
        times.append(_now(device))
        (instances,) = predictor.decode(encoded, prompts)
        times.append(_now(device))
        for instance in instances:
            _ = instance.mask.rle
        times.append(_now(device))
        rows.append(np.diff(times))
    encode, decode, write = (statistics.median(column) for column in np.array(rows).T.tolist())
    operations = int(counter.get_total_flops())
    return StageTimes(
        encode=encode,
        decode=decode / boxes,
        write=write / boxes,
        image=encode + decode + write,
        operations=operations,
        rate=operations / (encode + decode),
    )


def _convolution_operations(
    x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any
) -> int:
    """FLOPs of `layers.conv_gelu`, which torch does not count."""
    return int(conv_flop_count(list(x), list(weight), list(out_shape)))


def _now(device: torch.device) -> float:
    """Time in seconds, after synchronizing the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_memory(device: torch.device) -> int:
    """Peak memory of this process in bytes: allocated device memory for CUDA, else resident memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
