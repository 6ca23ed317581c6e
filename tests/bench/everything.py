"""Everything mode beside the authors' generator: the same masks of real photos, and how long each takes.

python tests/bench/everything.py CHECKPOINT PHOTO... [--points N]
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from hqsam_cli.configs import EverythingConfig
from hqsam_cli.inference.device import keep_freed_memory
from hqsam_cli.inference.everything import MaskGenerator
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.io.images import read_image
from hqsam_cli.weights.checkpoints import load_model, read_state


def main() -> None:
    """Print a line a photo, and the ratio of the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--points", type=int, default=16, help="a side")
    arguments = parser.parse_args()
    from segment_anything_hq import SamAutomaticMaskGenerator, sam_model_registry

    keep_freed_memory()  # for both
    model = load_model(arguments.checkpoint)
    theirs = sam_model_registry["vit_tiny"](checkpoint=None)
    theirs.load_state_dict(read_state(arguments.checkpoint)[0])
    theirs.eval()  # after loading: it gathers the attention biases
    ours = MaskGenerator(Predictor(model, choice="best"), EverythingConfig(points_per_side=arguments.points))
    peer = SamAutomaticMaskGenerator(theirs, points_per_side=arguments.points, output_mode="coco_rle")
    from pycocotools import mask as coco_mask

    times = {"hqsam": 0.0, "authors": 0.0}
    for path in arguments.photos:
        photo = read_image(str(path))
        began = time.perf_counter()
        (found,) = ours.generate([photo])
        times["hqsam"] += time.perf_counter() - began
        began = time.perf_counter()
        with torch.no_grad():
            expected = peer.generate(photo)
        times["authors"] += time.perf_counter() - began
        masks = [instance.mask.full() for instance in found]
        best = [max((_iou(coco_mask.decode(e["segmentation"]), m) for m in masks), default=0.0) for e in expected]
        print(f"{path.name}: {len(found)} masks, theirs {len(expected)}, lowest IoU {min(best, default=1.0):.4f}")
    print(f"hqsam {times['hqsam']:.1f} s, authors {times['authors']:.1f} s: {times['authors'] / times['hqsam']:.2f} x")


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a.astype(bool) & b).sum() / (a.astype(bool) | b).sum())


if __name__ == "__main__":
    main()
