"""Cut-outs beside those of rembg on the same photos: `python tests/bench/cutouts.py FOLDER REMBG [--picture FILE]`.

FOLDER holds `images/` and `masks/`; REMBG what rembg made of the images, PNG with alpha and equal stems (`rembg p -m
MODEL FOLDER/images REMBG`). rembg looks for the object by itself, hqsam is given its tight box. IoU and boundary IoU of
what is more than half opaque, and the mean error of the alpha, in percent. The picture has a row a photo.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from hqsam_cli.data.pairs import find_pairs, read_pair
from hqsam_cli.evaluation.metrics import boundary_iou
from hqsam_cli.evaluation.prompts import tight_box
from hqsam_cli.formats.cutouts import object_alpha
from hqsam_cli.formats.overlay import titled
from hqsam_cli.inference.device import resolve_compute
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.io.masks import is_foreground
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.records import Prompt
from hqsam_cli.weights.checkpoints import load_model

SIDE, SQUARE = 160, 8  # pixels of the longer side of a cell of the picture, and of the squares behind what is clear
SHADES = 255, 205


def on_squares(photo: np.ndarray, alpha: np.ndarray, title: str) -> np.ndarray:
    """A cut-out on squares of gray, with a title: uint8 RGB (h, w, 3)."""
    scale = SIDE / max(photo.shape[:2])
    size = round(photo.shape[1] * scale), round(photo.shape[0] * scale)
    small, share = (cv2.resize(own, size, interpolation=cv2.INTER_AREA) for own in (photo, alpha))
    y, x = np.mgrid[: size[1], : size[0]] // SQUARE
    squares = np.where((x + y) % 2, *SHADES)[..., None]
    cut = small * (share[..., None] / 255) + squares * (1 - share[..., None] / 255)
    return titled(np.rint(cut).astype(np.uint8), title)


def main() -> None:
    """Print the table, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("rembg", type=Path)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    compute = resolve_compute("auto", "auto")
    predictor = Predictor(load_model(arguments.model, compute.device, compute.dtype), dtype=compute.dtype, soft=True)
    scores: dict[str, list[list[float]]] = {"rembg": [], "hqsam": [], "hqsam --soft": []}
    rows = []
    for pair in tqdm(find_pairs(arguments.folder).pairs[: arguments.limit], disable=None):
        photo, gt = read_pair(pair)
        x0, y0, x1, y1 = tight_box(is_foreground(gt))
        (found,) = predictor.predict_batch([photo], [[Prompt(1, box=(x0, y0, x1 + 1, y1 + 1))]])[0]
        alphas = {
            "rembg": read_alpha(arguments.rembg / f"{pair.name}.png"),
            "hqsam": found.mask.full().astype(np.uint8) * 255,
            "hqsam --soft": object_alpha(found),
        }
        for name, alpha in alphas.items():
            masks = is_foreground(alpha), is_foreground(gt)
            error = np.abs(alpha.astype(float) - gt).mean() / 255
            scores[name].append([100 * iou(*masks), 100 * boundary_iou(*masks), 100 * error])
        if arguments.picture:
            shown = {"photo": np.full_like(gt, 255), "truth": gt, "rembg": alphas["rembg"]}
            shown["hqsam"] = alphas["hqsam --soft"]
            rows.append(np.hstack([on_squares(photo, alpha, title) for title, alpha in shown.items()]))
    table = Table(title=f"{arguments.folder.name}, {len(scores['rembg'])} photos, {arguments.model}")
    for column in ("", "mIoU", "mBIoU", "error of alpha"):
        table.add_column(column, justify="right" if column else "left")
    for name, own in scores.items():
        table.add_row(name, *(f"{value:.2f}" for value in np.mean(own, axis=0)))
    Console().print(table)
    if arguments.picture:
        width = max(row.shape[1] for row in rows)
        page = np.vstack(
            [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
        )
        cv2.imwrite(str(arguments.picture), page[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


def read_alpha(path: Path) -> np.ndarray:
    """The alpha of a PNG, uint8 (H, W)."""
    with Image.open(path) as image:
        return np.asarray(image.convert("RGBA"))[..., 3]


if __name__ == "__main__":
    main()
