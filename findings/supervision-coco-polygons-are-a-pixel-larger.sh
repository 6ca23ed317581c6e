#!/usr/bin/env bash
# supervision 0.31.2 (pycocotools 2.0.11, Python 3.11), run 2026-11-30: polygons of COCO are other masks than in pycocotools.
# Expected: from_coco(force_masks=True) gives the mask of COCO's annToMask, as it does for RLE.
# Seen: corners are rounded to pixels, and the pixels on the outline are set, so a square of 10 x 10 has 121 pixels, and IoU 0.83
# with itself. RLE of the same mask has 100.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check supervision==0.31.2 pycocotools==2.0.11
cat > read.py <<'PY'
import json

import numpy as np
import supervision
from PIL import Image
from pycocotools import mask as coco_mask

Image.new("RGB", (40, 30)).save("a.jpg")
square = [[5.0, 5.0, 15.0, 5.0, 15.0, 15.0, 5.0, 15.0]]
rle = coco_mask.merge(coco_mask.frPyObjects(square, 30, 40))


def pixels(segmentation):
    same = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 10, 10], "area": 100, "iscrowd": 0}
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
        "annotations": [{**same, "segmentation": segmentation}],
        "categories": [{"id": 1, "name": "square"}],
    }
    with open("coco.json", "w") as file:
        json.dump(document, file)
    read = supervision.DetectionDataset.from_coco(".", "coco.json", force_masks=True)
    (found,) = [detections.mask[0] for _, _, detections in read]
    return int(np.count_nonzero(found))


seen = {
    "polygon": pixels(square),
    "RLE": pixels({"size": rle["size"], "counts": rle["counts"].decode()}),
    "pycocotools": int(coco_mask.area(rle)),
}
print(seen)
if seen != {"polygon": 121, "RLE": 100, "pycocotools": 100}:
    raise SystemExit("this has changed")
PY
venv/bin/python read.py 2> log || { cat log; exit 1; }
