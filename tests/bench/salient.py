"""The most salient object of an image, without a prompt: `python tests/bench/salient.py FOLDER [--limit N]`.

FOLDER has `images/` and `masks/`, one object each. mIoU in percent of the masks of `hqsam segment --salient`, of the
full-image box, and of the tight box of the ground truth.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from hqsam_cli.data.pairs import find_pairs, read_pair
from hqsam_cli.inference.device import resolve_compute
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.io.masks import is_foreground
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.records import MaskCrop, Prompt
from hqsam_cli.weights.checkpoints import load_model
from hqsam_cli.weights.saliency import make_salient_predictor


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--limit", type=int, default=100)
    arguments = parser.parse_args()
    compute = resolve_compute("auto", "auto")
    predictor = Predictor(load_model(arguments.model, compute.device, compute.dtype), dtype=compute.dtype)
    salient = make_salient_predictor(predictor)
    scores: dict[str, list[float]] = {"--salient": [], "full-image box": [], "ground-truth box": []}
    seconds = 0.0
    for pair in tqdm(find_pairs(arguments.folder).pairs[: arguments.limit], disable=None):
        photo, gray = read_pair(pair)
        gt, (height, width) = is_foreground(gray), photo.shape[:2]
        began = time.perf_counter()
        (found,) = salient.generate([photo])
        seconds += time.perf_counter() - began
        x, y, w, h = MaskCrop.whole(gt).tight_box()
        boxes = [Prompt(box=(0, 0, width, height)), Prompt(box=(x, y, x + w, y + h))]
        (others,) = predictor.predict_batch([photo], [boxes])
        for own, instance in zip(scores.values(), [*found, *others], strict=True):
            own.append(100 * iou(instance.mask.full(), gt))
    count = len(scores["--salient"])
    table = Table(
        title=f"{arguments.folder.name}, {count} images, {arguments.model}, {seconds / count:.2f} s per image"
    )
    for column in ("", "mIoU", "below 50"):
        table.add_column(column, justify="right" if column else "left")
    for name, own in scores.items():
        table.add_row(name, f"{np.mean(own):.2f}", f"{np.mean(np.array(own) < 50):.0%}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
