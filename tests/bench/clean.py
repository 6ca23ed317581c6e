"""Masks before and after they are cleaned: `python tests/bench/clean.py [--model NAME|PATH] FOLDER …`.

Each folder holds `images/` and `masks/` (.png, equal stems); the prompt is the tight box of the mask. A table a setting
of `hqsam segment`: IoU and boundary IoU, means over the images in percent, and how many parts and holes masks have.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from hqsam_cli.configs import CleanConfig
from hqsam_cli.data.pairs import read_pair
from hqsam_cli.data.sets import dataset_pairs, find_dataset
from hqsam_cli.evaluation.metrics import boundary_iou
from hqsam_cli.evaluation.prompts import tight_box
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.inference.regions import clean
from hqsam_cli.io.masks import is_foreground
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.records import Prompt
from hqsam_cli.weights.checkpoints import load_model
from hqsam_cli.weights.hub import find_checkpoint

SETTINGS = {
    "--raw": CleanConfig(raw=True),
    "--min-region 10": CleanConfig(min_region="10"),
    "--min-region 20": CleanConfig(min_region="20"),
    "--min-region 0.1%": CleanConfig(min_region="0.1%"),
    "--min-region 1%": CleanConfig(min_region="1%"),
    "--min-region 0 --fill-holes 10": CleanConfig(min_region="0", fill_holes="10"),
    "--min-region 0 --fill-holes 20": CleanConfig(min_region="0", fill_holes="20"),
    "--min-region 0 --fill-holes 0.1%": CleanConfig(min_region="0", fill_holes="0.1%"),
    "--min-region 0 --fill-holes 1%": CleanConfig(min_region="0", fill_holes="1%"),
    "--min-region 0.1% --fill-holes 0.1%": CleanConfig(min_region="0.1%", fill_holes="0.1%"),
    "--largest-part": CleanConfig(largest_part=True),
    "--min-region 0 --smooth": CleanConfig(min_region="0", smooth=True),
    "--smooth --min-region 0.1% --fill-holes 0.1%": CleanConfig(smooth=True, min_region="0.1%", fill_holes="0.1%"),
}


def counts(mask: np.ndarray) -> tuple[int, int]:
    """Parts and holes of a bool mask (H, W)."""
    parts = cv2.connectedComponents(mask.astype(np.uint8))[0] - 1
    around = np.pad(~mask, 1, constant_values=True)
    return parts, cv2.connectedComponents(around.astype(np.uint8))[0] - 2


def rows(folder: Path, predictor: Predictor) -> dict[str, np.ndarray]:
    """By setting: IoU and boundary IoU in percent, parts and holes, means over the images."""
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in SETTINGS}
    for pair in tqdm(dataset_pairs(find_dataset(str(folder), folder)).pairs, desc=folder.name, disable=None):
        image, values = read_pair(pair)
        gt = is_foreground(values)
        x0, y0, x1, y1 = tight_box(gt)
        made = predictor.predict_batch([image], [[Prompt(1, box=(x0, y0, x1 + 1, y1 + 1))]])[0][0].mask
        for name, config in SETTINGS.items():
            mask = clean(made, config).full()
            found[name].append((100 * iou(mask, gt), 100 * boundary_iou(mask, gt), *counts(mask)))
    return {name: np.mean(own, axis=0) for name, own in found.items()}


def main() -> None:
    """Print a table a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="lite")
    arguments = parser.parse_args()
    predictor = Predictor(load_model(find_checkpoint(arguments.model)))
    for folder in arguments.folders:
        table = Table(title=f"{folder.name}, {arguments.model}")
        for column in ("", "mIoU", "mBIoU", "parts", "holes"):
            table.add_column(column, justify="right" if column else "left")
        for name, row in rows(folder, predictor).items():
            table.add_row(name, *(f"{value:.{digits}f}" for value, digits in zip(row, (2, 2, 1, 1), strict=True)))
        Console().print(table)


if __name__ == "__main__":
    main()
