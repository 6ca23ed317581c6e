#!/usr/bin/env bash
# pycocotools 2.0.11 (Python 3.11), run 2026-11-30: where annotation ids repeat, masks are those of another image.
# Expected: ids that restart with each image, as some exporters write them, are refused, or annotations are found by image.
# Seen: without a warning, the annotations of image 1 are those of image 2: its square is a dot, and belongs to image 2.
# COCOeval evaluates them as it reads them: results equal to the ground truth have AP 0.252.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check pycocotools==2.0.11
cat > read.py <<'PY'
import contextlib
import io

import numpy as np
from pycocotools import mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def annotation(image: int, side: int) -> dict:
    bits = np.zeros((50, 50), np.uint8, order="F")
    bits[:side, :side] = 1
    box = [0, 0, side, side]
    own = {"segmentation": mask.encode(bits), "bbox": box, "area": side * side, "iscrowd": 0, "score": 1.0}
    return {"id": 1, "image_id": image, "category_id": 1, **own}


with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO()
    truth.dataset = {
        "images": [{"id": n, "width": 50, "height": 50} for n in (1, 2)],
        "categories": [{"id": 1, "name": "shape"}],
        "annotations": [annotation(1, 30), annotation(2, 2)],
    }
    truth.createIndex()
    (found,) = truth.loadAnns(truth.getAnnIds(imgIds=1))
    results = truth.loadRes([annotation(1, 30), annotation(2, 2)])
    evaluation = COCOeval(truth, results, "segm")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
pixels, image, ap = int(truth.annToMask(found).sum()), found["image_id"], round(float(evaluation.stats[0]), 3)
print(f"of image 1: a mask of {pixels} pixels, of image {image}; AP of equal results {ap}")
if (pixels, image, ap) != (4, 2, 0.252):
    raise SystemExit("this has changed")
PY
venv/bin/python read.py
