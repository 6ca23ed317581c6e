"""Speed beside the authors' package on the same work, in turns: `make bench`.

The same weights, photos in memory (1 to 12 megapixels), boxes and threads; out come COCO's RLEs. The authors'
predictor runs in a loop over the photos in float32 and pycocotools encodes its masks. Each of the contenders lives in
a process of its own, loaded and warmed up, and they take turns: a machine that slows down slows all, and the ratio in
a round is what counts. The last of them makes SAM's masks alone, for what the HQ modules cost. Without `--model` the
weights are random and fill the frame with mask, the worst case for RLEs.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from pycocotools import mask as coco_mask
from rich.console import Console
from rich.table import Table

from hqsam_cli.configs import MaskOutput
from hqsam_cli.inference.device import resolve_compute
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.inference.speed import peak_memory, random_boxes
from hqsam_cli.records import RLE, Prompt
from hqsam_cli.weights.checkpoints import load_model, read_checkpoint

MEGAPIXELS = (1, 12)
Work = list[tuple[np.ndarray, list[Prompt]]]  # photos, and their boxes
Masks = list[list[RLE]]  # of each photo, RLEs


def work_on(images: int, boxes: int, sizes: tuple[float, float] = MEGAPIXELS) -> Work:
    """The photos of ultralytics at a range of sizes in megapixels, and random boxes within them."""
    from ultralytics.utils import ASSETS

    photos = [np.array(Image.open(ASSETS / name)) for name in ("bus.jpg", "zidane.jpg")]
    work: Work = []
    for i, megapixels in enumerate(np.geomspace(*sizes, images)):
        photo = photos[i % len(photos)]
        scale = (1e6 * megapixels / (photo.shape[0] * photo.shape[1])) ** 0.5
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        work.append((photo, random_boxes(photo.shape[1], photo.shape[0], boxes)))
    return work


def write_random(folder: Path, architecture: str) -> Path:
    """A checkpoint of random weights in the authors' format."""
    from segment_anything_hq import sam_model_registry

    torch.manual_seed(0)
    path = folder / "random.pth"
    torch.save(sam_model_registry[architecture](checkpoint=None).state_dict(), path)
    return path


def authors(checkpoint: Path, device: str) -> Callable[[Work], Masks]:
    """The authors' predictor in a loop over images."""
    from segment_anything_hq import SamPredictor, sam_model_registry

    architecture = read_checkpoint(checkpoint).architecture
    predictor = SamPredictor(sam_model_registry[architecture](checkpoint=str(checkpoint)).eval().to(device))

    def run(work: Work) -> Masks:
        results = []
        for photo, prompts in work:
            predictor.set_image(photo)
            boxes = torch.tensor([prompt.box for prompt in prompts])
            corners = predictor.transform.apply_boxes_torch(boxes, photo.shape[:2])
            made, _, _ = predictor.predict_torch(None, None, corners.to(device), multimask_output=False)
            results.append([coco_mask.encode(np.asfortranarray(mask)) for mask in made[:, 0].cpu().numpy()])
        return results

    return run


def hqsam(dtype: str, output: MaskOutput, checkpoint: Path, device: str) -> Callable[[Work], Masks]:
    """This tool, with the batch sizes of `hqsam segment`."""
    compute = resolve_compute(device, dtype)
    model, at_once = load_model(checkpoint, compute.device, compute.dtype), compute.batch_size
    predictor = Predictor(model, mask_output=output, dtype=compute.dtype, prompts_per_batch=compute.prompts_per_batch)

    def run(work: Work) -> Masks:
        results: Masks = []
        for start in range(0, len(work), at_once):
            group = work[start : start + at_once]
            made = predictor.predict_batch([photo for photo, _ in group], [prompts for _, prompts in group])
            results += [[instance.mask.rle for instance in own] for own in made]
        return results

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
    work = work_on(*size)
    run = contender(checkpoint, device)
    pipe.send(run(work))
    while pipe.recv():
        began = time.perf_counter()
        run(work)
        seconds = (time.perf_counter() - began) / len(work)
        pipe.send((seconds, peak_memory(torch.device(device)) / 2**30))


def agreement(ours: Masks, theirs: Masks) -> dict[str, float]:
    """Mean and lowest IoU of the masks of images with others of the same prompts."""
    pairs = [(a, b) for mine, own in zip(ours, theirs, strict=True) for a, b in zip(mine, own, strict=True)]
    ious = [coco_mask.iou([a], [b], [0])[0, 0] for a, b in pairs]
    return {"masks": len(ious), "mean_iou": float(np.mean(ious)), "lowest_iou": float(np.min(ious))}


def main() -> None:
    """Time all and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--boxes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--architecture", default="vit_tiny", help="of the random weights")
    parser.add_argument("--model", type=Path, help="a checkpoint in the authors' format")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    spawn = multiprocessing.get_context("spawn")
    auto = resolve_compute(arguments.device, "auto").dtype
    contenders = {
        "authors' package, float32": authors,
        "hqsam, float32": partial(hqsam, "float32", "sum"),
        f"hqsam, auto ({auto})": partial(hqsam, "auto", "sum"),
        f"hqsam, auto ({auto}), SAM alone": partial(hqsam, "auto", "sam"),
    }
    pipes: list[Connection] = []
    masks: list[Masks] = []
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = arguments.model
        if checkpoint is None:
            checkpoint = write_random(Path(folder), arguments.architecture)
        for contender in contenders.values():
            near, far = spawn.Pipe()
            work = (arguments.images, arguments.boxes)
            spawn.Process(target=serve, args=(contender, checkpoint, arguments.device, work, far), daemon=True).start()
            masks.append(near.recv())
            pipes.append(near)
        parameters, hq_parameters = read_checkpoint(checkpoint).parameters

    def measured(pipe: Connection) -> tuple[float, float]:
        pipe.send(True)
        return pipe.recv()

    rounds = [[measured(pipe) for pipe in pipes] for _ in range(arguments.rounds)]
    for pipe in pipes:
        pipe.send(False)
    weights = arguments.model.name if arguments.model else f"random {arguments.architecture}"
    table = Table(title=f"{weights}, {arguments.images} photos of 1 to 12 megapixels, {arguments.boxes} boxes each")
    for column in ("", "s/image", "times faster", "worst round", "mask IoU", "peak memory, GB"):
        table.add_column(column, justify="right" if column else "left")
    for k, name in enumerate(contenders):
        ratios = [times[0][0] / times[k][0] for times in rounds]
        table.add_row(
            name,
            f"{statistics.median(times[k][0] for times in rounds):.2f}",
            f"{statistics.median(ratios):.2f}",
            f"{min(ratios):.2f}",
            "-" if name.endswith("SAM alone") else f"{agreement(masks[k], masks[0])['mean_iou']:.5f}",
            f"{rounds[-1][k][1]:.2f}",
        )
    console = Console()
    console.print(table)
    cost = statistics.median(times[-2][0] / times[-1][0] for times in rounds) - 1
    memory = rounds[-1][-2][1] - rounds[-1][-1][1]
    console.print(
        f"the HQ modules, beside SAM alone: {cost:+.1%} time, {memory:+.3f} GB, {hq_parameters:,} of {parameters:,} "
        f"parameters ({hq_parameters / parameters:.2%})"
    )
    console.print(f"medians of {arguments.rounds} rounds, {arguments.device}, torch threads: {torch.get_num_threads()}")


if __name__ == "__main__":
    main()
