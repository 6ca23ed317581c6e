#!/usr/bin/env bash
# pycocotools 2.0.11 (Python 3.11), run 2026-11-30: an annotation with the id 0 is never matched.
# Expected: ids are only names, so equal boxes have AP 1 whether ids begin at 0 or at 1.
# Seen: AP is 1 from 1 on, but 0.4422 from 0 on for three objects: matches are stored as ids, and 0 means "no match".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pycocotools==2.0.11 numpy==2.4.6
cat > "$folder/ids.py" <<'EOF'
import contextlib
import io

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

box = [5, 5, 15, 15]


def average_precision(first_id):
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 40, "height": 40} for n in (1, 2, 3)]
    shared = {"category_id": 1, "bbox": box, "area": 225, "iscrowd": 0}
    annotations = [{"id": first_id + n, "image_id": image["id"], **shared} for n, image in enumerate(images)]
    results = [{"image_id": n, "category_id": 1, "bbox": box, "score": 0.9} for n in (1, 2, 3)]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "box"}]}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(float(evaluation.stats[0]), 4)


seen = {first: average_precision(first) for first in (1, 0)}
print("AP by the first annotation id:", seen)
if seen != {1: 1.0, 0: 0.4422}:
    raise SystemExit("this has changed")
EOF
"$folder/venv/bin/python" "$folder/ids.py"
