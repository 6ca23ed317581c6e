"""Speed beside the authors' package on the same work, in pairs: `make bench`.

The same random `vit_tiny` weights, the same photos in memory, the same boxes, masks at the size of the photo. Each
of the two lives in a process of its own, loaded and warmed up, and they take turns: a machine that slows down slows
both, and the ratio of each pair is what counts. Options: `--images`, `--boxes`, `--rounds`, `--device`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from hqsam_cli.memory import keep_freed_memory
from hqsam_cli.predictor import Predictor
from hqsam_cli.records import Prompt
from hqsam_cli.weights.checkpoints import load_model

HEIGHT, WIDTH = 1080, 810
Work = list[tuple[np.ndarray, np.ndarray]]  # photos, and boxes (N, 4) as corners
Masks = list[np.ndarray]  # of each photo, bool (N, HEIGHT, WIDTH)


def random_work(images: int, boxes: int) -> Work:
    """Photos of coarse noise and boxes within them."""
    rng = np.random.default_rng(0)
    work = []
    for _ in range(images):
        photo = rng.integers(0, 256, (HEIGHT // 30, WIDTH // 30, 3), np.uint8).repeat(30, 0).repeat(30, 1)
        corner = rng.uniform(0, 0.6, (boxes, 2)) * (WIDTH, HEIGHT)
        size = rng.uniform(0.1, 0.4, (boxes, 2)) * (WIDTH, HEIGHT)
        work.append((photo, np.hstack([corner, corner + size]).astype(np.float32)))
    return work


def authors(checkpoint: Path, device: str) -> Callable[[Work], Masks]:
    """The authors' predictor in a loop over images."""
    from segment_anything_hq import SamPredictor, sam_model_registry

    predictor = SamPredictor(sam_model_registry["vit_tiny"](checkpoint=str(checkpoint)).eval().to(device))

    def run(work: Work) -> Masks:
        masks = []
        for photo, boxes in work:
            predictor.set_image(photo)
            corners = predictor.transform.apply_boxes_torch(torch.from_numpy(boxes), photo.shape[:2])
            made, _, _ = predictor.predict_torch(None, None, corners.to(device), multimask_output=False)
            masks.append(made[:, 0].cpu().numpy())
        return masks

    return run


def hqsam(checkpoint: Path, device: str) -> Callable[[Work], Masks]:
    """This tool, with the batch sizes of `hqsam segment`."""
    on_cpu = device == "cpu"
    if on_cpu:
        keep_freed_memory()
    predictor = Predictor(load_model(checkpoint).to(device), prompts_per_batch=8 if on_cpu else 32)
    at_once = 1 if on_cpu else 4

    def run(work: Work) -> Masks:
        masks = []
        for start in range(0, len(work), at_once):
            group = work[start : start + at_once]
            prompts = [[Prompt(i, box=(*box.tolist(),)) for i, box in enumerate(boxes)] for _, boxes in group]
            results = predictor.predict_batch([photo for photo, _ in group], prompts)
            masks += [np.stack([instance.mask.full() for instance in made]) for made in results]
        return masks

    return run


def serve(
    contender: Callable[[Path, str], Callable[[Work], Masks]],
    checkpoint: Path,
    device: str,
    size: tuple[int, int],
    pipe: Connection,
) -> None:
    """Send the masks of the warm-up; then (seconds an image, peak memory in GB) for each message."""
    warnings.filterwarnings("ignore")
    work = random_work(*size)
    run = contender(checkpoint, device)
    pipe.send(run(work))
    while pipe.recv():
        began = time.perf_counter()
        run(work)
        pipe.send(
            (
                (time.perf_counter() - began) / len(work),
                resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
            )
        )


def main() -> None:
    """Time both and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--boxes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    from segment_anything_hq import sam_model_registry

    torch.manual_seed(0)
    spawn = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "vit_tiny.pth"
        torch.save(sam_model_registry["vit_tiny"](checkpoint=None).state_dict(), checkpoint)
        masks = []
        for contender in (authors, hqsam):
            near, far = spawn.Pipe()
            work = (arguments.images, arguments.boxes)
            spawn.Process(target=serve, args=(contender, checkpoint, arguments.device, work, far), daemon=True).start()
            masks.append(near.recv())
            pipes.append(near)

    def measured(pipe: Connection) -> tuple[float, float]:
        pipe.send(True)
        return pipe.recv()

    rounds = [[measured(pipe) for pipe in pipes] for _ in range(arguments.rounds)]
    for pipe in pipes:
        pipe.send(False)
    title = f"vit_tiny, {arguments.boxes} boxes an image, {WIDTH}x{HEIGHT}, float32, {arguments.device}"
    table = Table(title=title)
    for column in ("round", "authors' package, s/image", "hqsam, s/image", "times faster"):
        table.add_column(column, justify="right")
    for i, ((theirs, _), (ours, _)) in enumerate(rounds, 1):
        table.add_row(str(i), f"{theirs:.2f}", f"{ours:.2f}", f"{theirs / ours:.2f}")
    median = statistics.median(theirs / ours for (theirs, _), (ours, _) in rounds)
    table.add_row("median", "", "", f"{median:.2f}", style="bold")
    console = Console()
    console.print(table)
    (_, their_memory), (_, our_memory) = rounds[-1]
    agree = min(float((a == b).mean()) for a, b in zip(*masks, strict=True))
    console.print(
        f"pixels that agree: {100 * agree:.4f} %  ·  torch threads: {torch.get_num_threads()}  ·  "
        f"peak memory: authors {their_memory:.2f} GB, hqsam {our_memory:.2f} GB"
    )


if __name__ == "__main__":
    main()
