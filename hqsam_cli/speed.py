"""How fast a model works on this machine, stage by stage, and how much of what the machine can do that is."""

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

from .formats.segmentation import encode_crop
from .modeling.layers import HAS_CONV_GELU
from .predictor import Predictor
from .records import Prompt

MATRIX_SIDE = {"cpu": 2048, "cuda": 8192, "mps": 4096}
MATRIX_TRIALS = 5
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """Medians over photos, in seconds.

    Attributes:
        encode: an image, with its resize to the model's square.
        decode: a prompt, from the features to the mask in the size of the photo.
        write: a mask, to its RLE.
        image: an image with all its prompts, as one after the other.
        operations: floating-point operations of an image with all its prompts.
        rate: of them a second, in the encoder and the decoder together.
    """

    encode: float
    decode: float
    write: float
    image: float
    operations: int
    rate: float


def random_boxes(width: int, height: int, count: int) -> list[Prompt]:
    """Boxes of a tenth to four tenths of a photo, the same for each photo of a size."""
    rng = np.random.default_rng(SEED)
    corners = rng.uniform(0, 0.6, (count, 2)) * (width, height)
    ends = corners + rng.uniform(0.1, 0.4, (count, 2)) * (width, height)
    return [Prompt(n, box=(x0, y0, x1, y1)) for n, (x0, y0, x1, y1) in enumerate(np.hstack([corners, ends]).tolist())]


def random_photo(width: int, height: int) -> np.ndarray:
    """A photo of nothing, RGB uint8 (H, W, 3): smooth blots of color."""
    import cv2

    coarse = np.random.default_rng(SEED).integers(0, 256, (8, 12, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second in products of large square matrices; the best of some trials."""
    side = MATRIX_SIDE.get(device.type, MATRIX_SIDE["cpu"])
    left, right = (torch.rand(side, side, device=device).to(dtype) for _ in range(2))
    times = []
    for _ in range(MATRIX_TRIALS + 1):  # the first is a warm-up
        began = _now(device)
        left @ right
        times.append(_now(device) - began)
    return float(2 * side**3 / min(times[1:]))


def measure_stages(predictor: Predictor, photos: Sequence[np.ndarray], boxes: int) -> StageTimes:
    """Time the stages on photos, RGB uint8 (H, W, 3), each with so many random boxes."""
    device, hq = predictor.model.device, predictor.mask_output != "sam"
    rows: list[tuple[float, float, float]] = []
    work = [(photo, [(0, p) for p in random_boxes(photo.shape[1], photo.shape[0], boxes)]) for photo in photos]
    known = {torch.ops.mkldnn._convolution_pointwise: _convolution_operations} if HAS_CONV_GELU else {}
    with FlopCounterMode(display=False, custom_mapping=known) as counter:
        _ = list(predictor.instances(predictor.encode([work[0][0]], hq=hq), work[0][1]))
    _ = list(predictor.instances(predictor.encode([work[0][0]], hq=hq), work[0][1]))  # a warm-up
    for photo, prompts in work:
        began = _now(device)
        encoded = predictor.encode([photo], hq=hq)
        seen = _now(device)
        made = list(predictor.instances(encoded, prompts))
        masked = _now(device)
        for _, instance in made:
            encode_crop(instance.mask)
        rows.append((seen - began, (masked - seen) / boxes, (_now(device) - masked) / boxes))
    encode, decode, write = (statistics.median(column) for column in zip(*rows, strict=True))
    operations = int(counter.get_total_flops())
    return StageTimes(
        encode=encode,
        decode=decode,
        write=write,
        image=encode + boxes * (decode + write),
        operations=operations,
        rate=operations / (encode + boxes * decode),
    )


def _convolution_operations(
    x: Sequence[int], weight: Sequence[int], *_: Any, out_shape: Sequence[int], **__: Any
) -> int:
    """Of `layers.conv_gelu`, which torch's counter does not know."""
    return int(conv_flop_count(list(x), list(weight), list(out_shape)))


def _now(device: torch.device) -> float:
    """Seconds, when all that was asked of a device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def peak_memory(device: torch.device) -> int:
    """The most bytes that this process has had: of the device's memory on CUDA, else of the machine's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most
