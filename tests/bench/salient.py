"""The most salient object of an image, without a prompt: `python tests/bench/salient.py FOLDER [--limit N]`.

FOLDER has `images/` and `masks/`, one object each. mIoU in percent of the mask of the full-image box, of that of
`hqsam segment --salient`, and of the best, by the ground truth, of the masks that it chooses from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from hqsam_cli.configs import ObjectsConfig
from hqsam_cli.data.pairs import find_pairs, read_pair
from hqsam_cli.inference.device import resolve_compute
from hqsam_cli.inference.objects import ObjectPredictor
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.inference.salient import most_salient
from hqsam_cli.io.masks import is_foreground
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.records import Prompt
from hqsam_cli.weights.checkpoints import load_model
from hqsam_cli.weights.objectness import load_objectness


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--limit", type=int, default=100)
    arguments = parser.parse_args()
    compute = resolve_compute("auto", "auto")
    model = load_model(arguments.model, compute.device, compute.dtype)
    predictor = Predictor(model, dtype=compute.dtype)
    objects = ObjectPredictor(predictor, ObjectsConfig(min_score=0.0), load_objectness(model))
    scores: dict[str, list[float]] = {"full-image box": [], "--salient": [], "best": []}
    for pair in tqdm(find_pairs(arguments.folder).pairs[: arguments.limit], disable=None):
        photo, gray = read_pair(pair)
        gt, (height, width) = is_foreground(gray), photo.shape[:2]
        (whole,) = predictor.predict_batch([photo], [[Prompt(box=(0, 0, width, height))]])[0]
        (found,) = objects.predict_batch([photo], [[]])
        scores["full-image box"].append(100 * iou(whole.mask.full(), gt))
        for name, chosen in {"--salient": most_salient(found), "best": found}.items():
            scores[name].append(max((100 * iou(own.mask.full(), gt) for own in chosen), default=0.0))
    table = Table(title=f"{arguments.folder.name}, {len(scores['best'])} images, {arguments.model}")
    for column in ("", "mIoU", "below 50"):
        table.add_column(column, justify="right" if column else "left")
    for name, own in scores.items():
        table.add_row(name, f"{np.mean(own):.2f}", f"{np.mean(np.array(own) < 50):.0%}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
