"""A mosaic of photos as a data set with small objects: `python tests/bench/mosaic.py OUT FOLDER ...`.

Each folder holds `images/` and `masks/` with equal stems, or `images/` and `annotations.json` of COCO. One object of
each photo is kept, drawn at random, with its mask; photos are not enlarged. Then `hqsam eval --dataset OUT`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from suspicion import scenes

from hqsam_cli.records import MaskCrop

SMALLEST = 100  # pixels of an object


def main() -> None:
    """Write `images/mosaic.png` and `annotations.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--columns", type=int, default=8)
    parser.add_argument("--rows", type=int, default=6)
    parser.add_argument("--tile", type=int, default=640, help="side of a photo's place in pixels")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    tile, (height, width) = arguments.tile, (arguments.rows * arguments.tile, arguments.columns * arguments.tile)
    readers = [reader for folder in arguments.folders for reader in scenes(folder)]
    rng = np.random.default_rng(arguments.seed)
    mosaic = np.zeros((height, width, 3), np.uint8)
    annotations: list[dict[str, Any]] = []
    for place, number in enumerate(rng.permutation(len(readers))[: arguments.columns * arguments.rows]):
        scene = readers[number]()
        scale = min(1.0, tile / max(scene.photo.shape[:2]))
        photo = cv2.resize(scene.photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        y, x = (tile * n for n in divmod(place, arguments.columns))
        down, across = tile - photo.shape[0], tile - photo.shape[1]
        mosaic[y : y + tile, x : x + tile] = cv2.copyMakeBorder(photo, 0, down, 0, across, cv2.BORDER_REFLECT)
        masks = [cv2.resize(own.astype(np.float32), photo.shape[1::-1]) > 0.5 for own in scene.masks]
        masks = [own for own in masks if own.sum() >= SMALLEST]
        if masks:
            mask = MaskCrop(masks[rng.integers(len(masks))], x, y, width, height)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": 1,
                    "category_id": 1,
                    "bbox": mask.tight_box(),
                    "area": int(mask.bits.sum()),
                    "iscrowd": 0,
                    "segmentation": mask.rle,
                }
            )
    images = [{"id": 1, "file_name": "mosaic.png", "width": width, "height": height}]
    categories = [{"id": 1, "name": "object"}]
    (arguments.out / "images").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(arguments.out / "images" / "mosaic.png"), mosaic[..., ::-1])
    content = {"images": images, "annotations": annotations, "categories": categories}
    (arguments.out / "annotations.json").write_text(json.dumps(content))
    print(f"{arguments.out}: {width} x {height} pixels, {len(annotations)} objects")


if __name__ == "__main__":
    main()
