"""From JPEG files to COCO's file beside the authors' package: `python tests/bench/files.py --device cuda`.

The photos of ultralytics at sizes from 1 to 12 megapixels are written as JPEGs, each with random boxes. The authors'
predictor reads, predicts and encodes one photo after the other, in float32; `hqsam segment` is run on few photos and on
many, and the difference is what a photo takes: the start of the program and the warm-up are in both. Without `--model`
the weights are random and fill the frame with mask, the worst case for what comes after the model.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from scale import PROGRAM
from speed import MEGAPIXELS, authors, work_on, write_random

from hqsam_cli.records import Prompt

KINDS = 8  # photos that differ; the others are links to them
QUALITY = 90


def write_photos(folder: Path, count: int, boxes: int, megapixels: tuple[float, float]) -> dict[str, list[Prompt]]:
    """JPEGs and `boxes.json`, COCO's format; the boxes of each photo."""
    made = work_on(KINDS, boxes, megapixels)
    (folder / "photos").mkdir(parents=True)
    prompts: dict[str, list[Prompt]] = {}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for n in range(count):
        photo, own = made[n % KINDS]
        name = f"{n:05d}.jpg"
        if n < KINDS:
            Image.fromarray(photo).save(folder / "photos" / name, quality=QUALITY)
        else:
            os.link(folder / "photos" / f"{n % KINDS:05d}.jpg", folder / "photos" / name)
        prompts[name] = own
        images.append({"id": n + 1, "file_name": name, "width": photo.shape[1], "height": photo.shape[0]})
        for prompt in own:
            assert prompt.box is not None
            x0, y0, x1, y1 = prompt.box
            box = {"id": len(annotations) + 1, "image_id": n + 1, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
            annotations.append(box)
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}
    (folder / "boxes.json").write_text(json.dumps(content))
    return prompts


def read_photo(path: Path) -> np.ndarray:
    """Its pixels."""
    return np.array(Image.open(path))


def time_authors(checkpoint: Path, device: str, folder: Path, prompts: dict[str, list[Prompt]]) -> float:
    """Seconds a photo of the authors' predictor, without the first of them."""
    run = authors(checkpoint, device)
    names = list(prompts)
    records, began = [], 0.0
    for n, name in enumerate([names[0], *names]):
        if n == 1:
            began = time.perf_counter()
        photo = read_photo(folder / "photos" / name)
        for rle in run([(photo, prompts[name])])[0]:
            records.append({"segmentation": {"size": rle["size"], "counts": rle["counts"].decode()}})
    (folder / "theirs.json").write_text(json.dumps(records))
    return (time.perf_counter() - began) / len(names)


def time_hqsam(checkpoint: str, device: str, folder: Path, more: list[str]) -> float:
    """Seconds of `hqsam segment` on a folder of `write_photos`."""
    command = [sys.executable, "-c", PROGRAM, "segment", str(folder / "photos"), "--boxes", str(folder / "boxes.json")]
    began = time.perf_counter()
    out = ["-o", str(folder / "out"), "--format", "coco", "--quiet", "--overwrite"]
    where = [] if "--devices" in more else ["--device", device]
    subprocess.run([*command, "--model", checkpoint, *where, *out, *more], check=True)
    return time.perf_counter() - began


def main() -> None:
    """Time both, and print photos a second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--architecture", default="vit_tiny", help="of the random weights")
    parser.add_argument("--model", help="a checkpoint in the authors' format")
    parser.add_argument("--boxes", type=int, default=8)
    parser.add_argument("--images", type=int, nargs=2, default=[8, 40], metavar=("FEW", "MANY"))
    parser.add_argument("--peer-images", type=int, default=8, help="0 leaves the authors out")
    parser.add_argument("--megapixels", type=float, nargs=2, default=MEGAPIXELS)
    parser.add_argument("options", nargs="*", metavar="-- OPTION", help="of `hqsam segment`")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    console = Console()
    with tempfile.TemporaryDirectory() as place:
        counts = (arguments.peer_images, *arguments.images)
        folders = [Path(place, name) for name in ("theirs", "few", "many")]
        sets = [
            write_photos(folder, count, arguments.boxes, tuple(arguments.megapixels)) if count else {}
            for folder, count in zip(folders, counts, strict=True)
        ]
        checkpoint = arguments.model or str(write_random(Path(place), arguments.architecture))
        few, many = (time_hqsam(checkpoint, arguments.device, folder, arguments.options) for folder in folders[1:])
        own = (many - few) / (arguments.images[1] - arguments.images[0])
        read = time.perf_counter()
        for name in list(sets[1])[:KINDS]:
            read_photo(folders[1] / "photos" / name)
        read = (time.perf_counter() - read) / min(KINDS, arguments.images[0])
        name = arguments.model or f"random {arguments.architecture}"
        console.print(f"{name}, {arguments.boxes} boxes, {arguments.device}, {os.cpu_count()} cores:")
        console.print(f"hqsam segment {1 / own:.1f} photos a second, {few:.1f} s for the first {arguments.images[0]}")
        console.print(f"reading a photo {1000 * read:.0f} ms, so {read / own:.1f} cores do nothing else")
        if arguments.peer_images:
            peer = time_authors(Path(checkpoint), arguments.device, folders[0], sets[0])
            console.print(
                f"the authors' package {1 / peer:.2f} photos a second, hqsam is {peer / own:.1f} times faster"
            )


if __name__ == "__main__":
    main()
