"""The one prominent object of an image, without a prompt: `python tests/bench/prominent.py FOLDER [--limit N]`.

FOLDER has `images/` and `masks/`, one object each. mIoU in percent of the mask of the full-image box, and of one of the
masks of `hqsam segment` without prompts: the best by the ground truth, and the best by predicted IoU, distance from the
center and contact with the image border.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from hqsam_cli.configs import DetectorConfig, ObjectsConfig
from hqsam_cli.data.pairs import find_pairs, read_pair
from hqsam_cli.detection.detector import Detector
from hqsam_cli.detection.files import EMBEDDED, EMBEDDED_PATH
from hqsam_cli.evaluation.metrics import iou
from hqsam_cli.inference.device import resolve_compute
from hqsam_cli.inference.objects import ObjectPredictor
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.io.masks import THRESHOLD
from hqsam_cli.records import Prompt
from hqsam_cli.weights.checkpoints import load_model

CONTACT, CENTER, SPREAD = 6.0, 0.25, 0.2  # tuned on 100 images of ECSSD


def prominence(mask: np.ndarray, predicted_iou: float) -> float:
    """How prominent an object is: high if sure, near the center, large, and away from the border."""
    height, width = mask.shape
    y, x = np.mgrid[:height, :width]
    near = np.exp(-(((y + 0.5) / height - 0.5) ** 2 + ((x + 0.5) / width - 0.5) ** 2) / (2 * SPREAD**2))
    contact = np.mean([mask[0].mean(), mask[-1].mean(), mask[:, 0].mean(), mask[:, -1].mean()])
    return float(predicted_iou * (near[mask].sum() / near.sum()) ** CENTER * np.exp(-CONTACT * contact))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--limit", type=int, default=100)
    arguments = parser.parse_args()
    compute = resolve_compute("auto", "auto")
    predictor = Predictor(load_model(arguments.model, compute.device, compute.dtype), dtype=compute.dtype)
    objects = ObjectPredictor(predictor, ObjectsConfig())
    detector = Detector(EMBEDDED_PATH, DetectorConfig(detector=EMBEDDED), compute.device)
    scores: dict[str, list[float]] = {"full-image box": [], "prominent": [], "best": []}
    for pair in tqdm(find_pairs(arguments.folder).pairs[: arguments.limit], disable=None):
        photo, gray = read_pair(pair)
        gt, (height, width) = gray > THRESHOLD, photo.shape[:2]
        (whole,) = predictor.predict_batch([photo], [[Prompt(box=(0, 0, width, height))]])[0]
        (found,) = objects.predict_batch([photo], detector.detect([photo]))
        masks = [instance.mask.full() for instance in found] or [np.zeros_like(gt)]
        rank = [prominence(mask, own.predicted_iou) for mask, own in zip(masks, found, strict=False)] or [0.0]
        scores["full-image box"].append(100 * iou(whole.mask.full(), gt))
        scores["prominent"].append(100 * iou(masks[int(np.argmax(rank))], gt))
        scores["best"].append(max(100 * iou(mask, gt) for mask in masks))
    table = Table(title=f"{arguments.folder.name}, {len(scores['best'])} images, {arguments.model}")
    for column in ("", "mIoU", "below 50"):
        table.add_column(column, justify="right" if column else "left")
    for name, own in scores.items():
        table.add_row(name, f"{np.mean(own):.2f}", f"{np.mean(np.array(own) < 50):.0%}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
