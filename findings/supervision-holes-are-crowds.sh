#!/usr/bin/env bash
# supervision 0.31.2 (pycocotools 2.0.11, Python 3.11), run 2026-11-30: COCO that it writes has single objects as crowds.
# Expected: iscrowd is 0 for every object of Detections, none of which is a group.
# Seen: as_coco writes iscrowd 1 for a mask with a hole or with several parts, whose encoding is RLE then. COCOeval leaves crowds
# out: of ground truth with one square and one ring, found exactly, it evaluates only the square.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check supervision==0.31.2 pycocotools==2.0.11
cat > write.py <<'PY'
import contextlib
import io
import json

import numpy as np
import supervision
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Image.new("RGB", (60, 30)).save("a.jpg")
masks = np.zeros((2, 30, 60), bool)
masks[0, 5:15, 5:15] = masks[1, 5:25, 30:50] = True
masks[1, 12:18, 37:43] = False
boxes = np.array([[5, 5, 15, 15], [30, 5, 50, 25]])
found = supervision.Detections(xyxy=boxes, mask=masks, class_id=np.array([0, 0]))
data = supervision.DetectionDataset(classes=["shape"], images=["a.jpg"], annotations={"a.jpg": found})
data.as_coco(annotations_path="coco.json")
with open("coco.json") as file:
    crowds = [own["iscrowd"] for own in json.load(file)["annotations"]]
with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO("coco.json")
    results = [
        {"image_id": own["image_id"], "category_id": own["category_id"], "bbox": own["bbox"], "score": 1.0}
        for own in truth.anns.values()
    ]
    evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
    evaluation.evaluate()
evaluated = sum(not ignored for ignored in evaluation.evalImgs[0]["gtIgnore"])
print(f"iscrowd {crowds}; evaluated {evaluated} of {len(crowds)}")
if (crowds, evaluated) != ([0, 1], 1):
    raise SystemExit("this has changed")
PY
venv/bin/python write.py 2> log || { cat log; exit 1; }
