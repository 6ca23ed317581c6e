"""GrabCut and `lite` on folders of photos with masks: `make scores DATA="folder …"`.

Each folder holds `images/` and `masks/` (.png, equal stems). The prompt is the tight box of the mask. GrabCut
is OpenCV's, five iterations from the box; `lite` gives three rows: its SAM part alone, the HQ masks, and their
sum, which is what `hqsam segment` writes. IoU and boundary IoU are means over images, in percent.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
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
from hqsam_cli.records import Prompt
from hqsam_cli.weights.checkpoints import load_model
from hqsam_cli.weights.hub import find_checkpoint

Box = tuple[float, float, float, float]
Method = Callable[[np.ndarray, Box], np.ndarray]


def grabcut_mask(image: np.ndarray, box: Box) -> np.ndarray:
    """OpenCV's GrabCut from a box, bool (H, W)."""
    cv2.setRNGSeed(0)
    mask = np.zeros(image.shape[:2], np.uint8)
    x0, y0, x1, y1 = (int(n) for n in box)
    # A box that covers everything leaves GrabCut without background: keep a line of it.
    x0, y0 = max(x0, 1), max(y0, 1)
    x1, y1 = min(x1, image.shape[1] - 1), min(y1, image.shape[0] - 1)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(image[..., ::-1].copy(), mask, (x0, y0, x1 - x0, y1 - y0), *models, 5, cv2.GC_INIT_WITH_RECT)
    return (mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)


def model_method(predictor: Predictor) -> Method:
    """The predictor as a function of an image and a box."""
    return lambda image, box: predictor.predict_batch([image], [[Prompt(1, box=box)]])[0][0].mask.full()


def scores(folder: Path, methods: dict[str, Method]) -> dict[str, tuple[float, float]]:
    """Mean IoU and mean boundary IoU of each method, in percent."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    for pair in tqdm(dataset_pairs(find_dataset(str(folder), folder)).pairs, desc=folder.name, disable=None):
        image, values = read_pair(pair)
        gt = is_foreground(values)
        x0, y0, x1, y1 = tight_box(gt)
        for name, method in methods.items():
            mask = method(image, (x0, y0, x1 + 1, y1 + 1))
            found[name].append((iou(mask, gt), boundary_iou(mask, gt)))
    return {name: tuple(100 * np.mean(rows, axis=0)) for name, rows in found.items()}


def main() -> None:
    """Print a table a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--model", default="lite")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    model = load_model(find_checkpoint(arguments.model))
    methods: dict[str, Method] = {"GrabCut": grabcut_mask}
    for output in ("sam", "hq", "sum"):
        methods[f"{arguments.model} {output}"] = model_method(Predictor(model, mask_output=output))
    results = {}
    for folder in arguments.folders:
        results[folder.name] = found = scores(folder, methods)
        table = Table(title=f"{folder.name}, {len(list((folder / 'images').glob('*.jpg')))} images, tight box")
        table.add_column("")
        table.add_column("mIoU", justify="right")
        table.add_column("mBIoU", justify="right")
        for name, (region, edge) in found.items():
            table.add_row(name, f"{region:.1f}", f"{edge:.1f}")
        Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
