#!/usr/bin/env bash
# faster-coco-eval 1.8.0 (Python 3.11), run 2026-11-30: with `lvis_style` the limit of 300 results holds for each class.
# Expected: as in LVIS, the 300 best results of an image count, over all classes: hotcoco 1.3.0 applies it in LVISResults.
# Seen: the 301st result of an image counts if it is of another class, so AP is higher than that of LVIS.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check faster-coco-eval==1.8.0 hotcoco==1.3.0 numpy==2.4.6
cat > "$folder/limit.py" <<'EOF'
import contextlib
import copy
import io

import hotcoco
from faster_coco_eval import COCO, COCOeval_faster

box = {"image_id": 1, "bbox": [50, 50, 300, 300]}
document = {
    "images": [
        {"id": 1, "width": 400, "height": 400, "neg_category_ids": [], "not_exhaustive_category_ids": []},
    ],
    "annotations": [{"id": n, "category_id": n, "area": 90000, **box} for n in (1, 2)],
    "categories": [{"id": n, "name": str(n), "frequency": "f"} for n in (1, 2)],
}
results = [{**box, "category_id": 1, "score": 0.9}] * 300 + [{**box, "category_id": 2, "score": 0.1}]


def faster():
    truth = COCO()
    truth.dataset = copy.deepcopy(document)
    truth.createIndex()
    found = truth.loadRes(copy.deepcopy(results))
    evaluation = COCOeval_faster(truth, found, iouType="bbox", lvis_style=True, print_function=lambda *_: None)
    evaluation.params.maxDets = [300]
    evaluation.evaluate()
    evaluation.accumulate()
    return float(evaluation.eval["precision"][..., 0, -1].mean())


def hot():
    truth = hotcoco.COCO(copy.deepcopy(document))
    evaluation = hotcoco.LVISeval(truth, hotcoco.LVISResults(truth, copy.deepcopy(results), max_dets=300), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.summarize()
    return float(evaluation.get_results()["AP"])


seen = {"faster-coco-eval": round(faster(), 4), "hotcoco": round(hot(), 4)}
print("AP of two classes, one of which has only the 301st result:", seen)
if seen != {"faster-coco-eval": 1.0, "hotcoco": 0.5}:
    raise SystemExit("this has changed")
EOF
"$folder/venv/bin/python" "$folder/limit.py"
