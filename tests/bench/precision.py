"""Masks in bfloat16 beside those in float32: `python tests/bench/precision.py --model MODEL FOLDER…`.

Each folder holds `images/` and `masks/`; the prompt is the tight box of the mask. IoU and boundary IoU are means over
the images, in percent; `same` is the IoU of the two masks of an image with each other.
"""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from hqsam_cli.data.pairs import read_pair
from hqsam_cli.data.sets import dataset_pairs, find_dataset
from hqsam_cli.evaluation.metrics import boundary_iou
from hqsam_cli.evaluation.prompts import tight_box
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.io.masks import is_foreground
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.weights.checkpoints import load_model


def main() -> None:
    """Print a row a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="lite")
    parser.add_argument("--limit", type=int, default=30)
    arguments = parser.parse_args()
    dtypes = torch.float32, torch.bfloat16
    plain, half = (Predictor(load_model(arguments.model, dtype=dtype), dtype=dtype) for dtype in dtypes)
    table = Table(title=f"{arguments.model}, tight boxes")
    for column in ("", "images", "float32 mIoU", "mBIoU", "bfloat16 mIoU", "mBIoU", "same, mean", "worst"):
        table.add_column(column, justify="right" if column else "left")
    for folder in arguments.folders:
        rows = []
        pairs = list(islice(dataset_pairs(find_dataset(str(folder), folder)).pairs, arguments.limit))
        for pair in tqdm(pairs, desc=folder.name, disable=None):
            image, values = read_pair(pair)
            gt = is_foreground(values)
            x0, y0, x1, y1 = tight_box(gt)
            box = np.array([[x0, y0, x1 + 1, y1 + 1]])
            a, b = (predictor.predict(image, boxes=box).mask[0] for predictor in (plain, half))
            rows.append([iou(a, gt), boundary_iou(a, gt), iou(b, gt), boundary_iou(b, gt), iou(a, b)])
        means = 100 * np.mean(rows, axis=0)
        worst = min(row[-1] for row in rows)
        table.add_row(folder.name, str(len(rows)), *(f"{mean:.2f}" for mean in means), f"{100 * worst:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
