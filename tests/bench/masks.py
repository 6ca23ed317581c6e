"""From logits to COCO's RLEs beside the plain way, on objects as photos have them: `make bench`.

Random weights fill the frame with mask, real objects do not; so this has logits of its own: ellipses with ragged
borders that cover so many percent of a photo. The plain way is SAM's `postprocess_masks`, a threshold, and pycocotools
on the whole frame. Both results are compared byte by byte.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from pycocotools import mask as coco_mask
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn import functional

from hqsam_cli.inference.postprocess import mask_crops
from hqsam_cli.inference.preprocess import ResizeLongestSide

SIDE, LOW = 1024, 256  # the model's input size, and that of its logits


def ragged_ellipses(count: int, resize: ResizeLongestSide, share: float) -> Tensor:
    """Logits (count, 256, 256) of objects that cover a share of the photo."""
    rng = np.random.default_rng(0)
    height, width = resize.input_height * LOW // SIDE, resize.input_width * LOW // SIDE
    radius = (share * height * width / np.pi) ** 0.5
    y, x = np.mgrid[:LOW, :LOW]
    logits = []
    for _ in range(count):
        cy, cx = rng.uniform(0.2, 0.8, 2) * (height, width)
        stretch = rng.uniform(0.6, 1.6)
        distance = np.hypot((x - cx) / stretch, (y - cy) * stretch)
        logits.append(8 * (1 - distance / radius) + rng.normal(0, 0.3, (LOW, LOW)))
    return torch.from_numpy(np.stack(logits)).float()


def plain(logits: Tensor, resize: ResizeLongestSide) -> list[bytes]:
    """RLEs by way of whole frames."""
    square = functional.interpolate(logits[:, None], (SIDE, SIDE), mode="bilinear", align_corners=False)
    photo = square[..., : resize.input_height, : resize.input_width]
    full = functional.interpolate(photo, (resize.height, resize.width), mode="bilinear", align_corners=False)[:, 0]
    return [bytes(coco_mask.encode(np.asfortranarray(mask))["counts"]) for mask in (full > 0).numpy()]


def ours(logits: Tensor, resize: ResizeLongestSide) -> list[bytes]:
    """RLEs of the parts where a mask is."""
    return [crop.rle["counts"].encode() for crop in mask_crops(logits, [resize] * len(logits))]


def main() -> None:
    """Print a row a size of photo and of objects."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    table = Table(title=f"{arguments.masks} masks from logits to RLE, {torch.get_num_threads()} threads")
    for column in ("photo", "share of it", "plain, ms a mask", "hqsam, ms a mask", "times faster", "same bytes"):
        table.add_column(column, justify="right")
    for height, width in ((768, 1024), (2000, 3000), (3000, 4000)):
        resize = ResizeLongestSide.of(height, width, SIDE)
        for share in (0.01, 0.05, 0.25):
            logits = ragged_ellipses(arguments.masks, resize, share)
            best: dict[str, tuple[float, list[bytes]]] = {}
            for name, make in (("plain", plain), ("ours", ours)) * arguments.rounds:
                began = time.perf_counter()
                made = make(logits, resize)
                took = 1000 * (time.perf_counter() - began) / arguments.masks
                best[name] = (min(took, best.get(name, (took,))[0]), made)
            same = sum(a == b for a, b in zip(best["plain"][1], best["ours"][1], strict=True))
            table.add_row(
                f"{width} x {height}",
                f"{share:.0%}",
                f"{best['plain'][0]:.1f}",
                f"{best['ours'][0]:.1f}",
                f"{best['plain'][0] / best['ours'][0]:.1f}",
                f"{same} of {arguments.masks}",
            )
    Console().print(table)


if __name__ == "__main__":
    main()
