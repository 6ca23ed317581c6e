"""Sixteen photos, eight boxes each, from JPEG files to RLE, whole processes in turns: `python tests/bench/whole.py`.

`hqsam segment` with `lite` on a CPU, in the precision of `--dtype auto` and in float32, beside the authors' predictor
in a loop.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

PHOTOS, BOXES, ROUNDS, MEGAPIXELS = 16, 8, 2, (1.0, 12.0)


def authors(folder: Path) -> None:
    """Encode the masks of all boxes with the authors' package, into theirs.json.

    Not `speed.authors`, because importing that module imports this package, whose time would be the authors'.
    """
    import numpy as np
    from PIL import Image
    from pycocotools.mask import encode
    from segment_anything_hq import SamPredictor, sam_model_registry

    predictor = SamPredictor(sam_model_registry["vit_tiny"](checkpoint=str(folder / "lite.pth")).eval())
    document, masks = json.loads((folder / "boxes.json").read_text()), []
    for image in document["images"]:
        photo = np.array(Image.open(folder / "photos" / image["file_name"]))
        predictor.set_image(photo)
        own = [annotation["bbox"] for annotation in document["annotations"] if annotation["image_id"] == image["id"]]
        boxes = torch.tensor([[x, y, x + w, y + h] for x, y, w, h in own])
        boxes = predictor.transform.apply_boxes_torch(boxes, photo.shape[:2])
        found, _, _ = predictor.predict_torch(None, None, boxes, multimask_output=False)
        masks += [encode(np.asfortranarray(mask))["counts"].decode() for mask in found[:, 0].numpy()]
    (folder / "theirs.json").write_text(json.dumps(masks))


def main() -> None:
    """Print medians and ratios of elapsed times."""
    environment = dict(os.environ)  # before ultralytics, imported for its photos, sets the number of threads
    from files import write_photos

    from hqsam_cli.weights.checkpoints import read_checkpoint
    from hqsam_cli.weights.registry import PACKAGED

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_photos(folder, PHOTOS, BOXES, MEGAPIXELS)
        state = read_checkpoint(PACKAGED["lite"]).state  # without the head for the IoU, which the authors' class lacks
        torch.save({name: own.float() for name, own in state.items() if "hf_iou_head" not in name}, folder / "lite.pth")
        options = ["segment", f"{folder}/photos", "--boxes", f"{folder}/boxes.json", "--device", "cpu", "-q"]
        ours = [sys.executable, "-m", "hqsam_cli", *options, "-f", "coco", "--overwrite", "-o", f"{folder}/out"]
        ours += ["--windows", "off", "--raw", "--mask-output", "sum"]
        ways = {
            "authors": [sys.executable, "-W", "ignore", __file__, str(folder)],
            "hqsam": ours,
            "hqsam, float32": [*ours, "--dtype", "float32"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(ROUNDS):
            for name, command in ways.items():
                began = time.perf_counter()
                subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
                seconds[name].append(time.perf_counter() - began)
    for name, own in seconds.items():
        ratios = [theirs / one for theirs, one in zip(seconds["authors"], own, strict=True)]
        print(
            f"{name}: {statistics.median(own):.1f} s, {statistics.median(ratios):.2f} times (worst {min(ratios):.2f})"
        )


if __name__ == "__main__":
    authors(Path(sys.argv[1])) if sys.argv[1:] else main()
