"""Speed beside the authors' package on the same work, in pairs: `make bench`.

The same random `vit_tiny` weights, the same photos in memory, the same boxes, masks at the size of the photo.
The two take turns in one process, so a machine that slows down slows both; the ratio of each pair is what
counts. Options: `--images`, `--boxes`, `--rounds`, `--device`.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from hqsam_cli.inference.segmenter import Segmenter
from hqsam_cli.models.checkpoints import load_model
from hqsam_cli.records import Prompt

HEIGHT, WIDTH = 1080, 810


def random_work(images: int, boxes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Photos (noise, smoothed by upscaling) and boxes (N, 4) as corners."""
    rng = np.random.default_rng(0)
    work = []
    for _ in range(images):
        photo = rng.integers(0, 256, (HEIGHT // 30, WIDTH // 30, 3), np.uint8).repeat(30, 0).repeat(30, 1)
        corner = rng.uniform(0, 0.6, (boxes, 2)) * (WIDTH, HEIGHT)
        size = rng.uniform(0.1, 0.4, (boxes, 2)) * (WIDTH, HEIGHT)
        work.append((photo, np.hstack([corner, corner + size]).astype(np.float32)))
    return work


def main() -> None:
    """Time both and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--boxes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    from segment_anything_hq import SamPredictor, sam_model_registry

    torch.manual_seed(0)
    theirs = sam_model_registry["vit_tiny"](checkpoint=None).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vit_tiny.pth"
        torch.save(theirs.state_dict(), path)
        ours = load_model(path).eval()
    predictor = SamPredictor(theirs.to(arguments.device))
    segmenter = Segmenter(ours.to(arguments.device))
    work = random_work(arguments.images, arguments.boxes)

    def authors() -> list[np.ndarray]:
        masks = []
        for photo, boxes in work:
            predictor.set_image(photo)
            corners = predictor.transform.apply_boxes_torch(torch.from_numpy(boxes), photo.shape[:2])
            made, _, _ = predictor.predict_torch(None, None, corners.to(arguments.device), multimask_output=False)
            masks.append(made[:, 0].cpu().numpy())
        return masks

    def hqsam() -> list[np.ndarray]:
        prompts = [[Prompt(i, box=(*b.tolist(),)) for i, b in enumerate(boxes)] for _, boxes in work]
        results = segmenter.segment([photo for photo, _ in work], prompts)
        return [np.stack([instance.mask.full() for instance in made]) for made in results]

    agree = [float((a == b).mean()) for a, b in zip(authors(), hqsam(), strict=True)]  # also the warm-up
    seconds: list[tuple[float, float]] = []
    for _ in range(arguments.rounds):
        pair = []
        for run in (authors, hqsam):
            began = time.perf_counter()
            run()
            pair.append((time.perf_counter() - began) / arguments.images)
        seconds.append((pair[0], pair[1]))
    table = Table(title=f"vit_tiny, {arguments.boxes} boxes an image, {WIDTH}x{HEIGHT}, float32, {arguments.device}")
    for column in ("round", "authors' package, s/image", "hqsam, s/image", "times faster"):
        table.add_column(column, justify="right")
    for i, (a, b) in enumerate(seconds, 1):
        table.add_row(str(i), f"{a:.2f}", f"{b:.2f}", f"{a / b:.2f}")
    median = statistics.median(a / b for a, b in seconds)
    table.add_row("median", "", "", f"{median:.2f}", style="bold")
    console = Console()
    console.print(table)
    console.print(f"pixels that agree: {100 * min(agree):.4f} %  ·  torch threads: {torch.get_num_threads()}")


if __name__ == "__main__":
    main()
