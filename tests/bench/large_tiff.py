"""A gigapixel TIFF of a mosaic repeated, and boxes in it: `python tests/bench/large_tiff.py MOSAIC OUT`.

MOSAIC is made by `mosaic.py`. Then `/usr/bin/time -v hqsam segment OUT/large.tif --boxes OUT/boxes.json --format coco`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from hqsam_cli.io.images import read_image

WIDTH, HEIGHT = 40_000, 25_000
LAYOUTS: dict[str, dict[str, Any]] = {
    "tiles": {"tiled": True, "compress": "jpeg", "photometric": "ycbcr"},
    "rows": {"blockysize": 1},
    "strips": {"blockysize": 64, "compress": "deflate"},
}


def main() -> None:
    """Write `large.tif` and `boxes.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mosaic", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--layout", choices=LAYOUTS, default="tiles")
    parser.add_argument("--boxes", type=int, default=20)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True)
    bands = read_image(str(arguments.mosaic / "images/mosaic.png")).transpose(2, 0, 1)
    _, height, width = bands.shape
    across, down = WIDTH // width, HEIGHT // height
    row = np.tile(bands, (1, 1, across + 1))[..., :WIDTH]
    form = {"driver": "GTiff", "width": WIDTH, "height": HEIGHT, "count": 3, "dtype": "uint8", "BIGTIFF": "YES"}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0.0, 400_000.0, 0.0, -0.5, 5_200_000.0)}
    path = arguments.out / "large.tif"
    with rasterio.open(path, "w", interleave="pixel", **form, **place, **LAYOUTS[arguments.layout]) as target:
        for top in range(0, HEIGHT, height):
            part = row[:, : HEIGHT - top]
            target.write(part, window=((top, top + part.shape[1]), (0, WIDTH)))
    objects = json.loads((arguments.mosaic / "annotations.json").read_text())["annotations"]
    places = np.random.default_rng(0).permutation(across * down * len(objects))[: arguments.boxes].tolist()
    annotations = []
    for number, place in enumerate(places, 1):
        place, own = divmod(place, len(objects))
        x, y, w, h = objects[own]["bbox"]
        box = [x + place % across * width, y + place // across * height, w, h]
        annotations.append({"id": number, "image_id": 1, "category_id": 1, "bbox": box})
    images = [{"id": 1, "file_name": "large.tif", "width": WIDTH, "height": HEIGHT}]
    categories = [{"id": 1, "name": "object"}]
    document = {"images": images, "annotations": annotations, "categories": categories}
    (arguments.out / "boxes.json").write_text(json.dumps(document))


if __name__ == "__main__":
    main()
