#!/usr/bin/env bash
# lvis 0.5.3, the official evaluation of LVIS, with NumPy 2.4.6 (Python 3.11), run 2026-11-30: it cannot accumulate.
# Expected: pip installs a NumPy that it works with, or its import fails.
# Seen: it is installed, imported, and evaluates every image; then `accumulate` raises an AttributeError, since it uses
# `np.float`, which NumPy 1.24 removed. With `numpy.float = float` before, it returns AP. It does not declare pycocotools,
# which it imports.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  lvis==0.5.3 numpy==2.4.6 pycocotools==2.0.11 opencv-python-headless==5.0.0.93
cat > "$folder/lvis_ap.py" <<'EOF'
import json
import logging
import sys

import numpy
from lvis import LVIS, LVISEval, LVISResults

box = [50, 50, 300, 300]
document = {
    "images": [{"id": 1, "width": 400, "height": 400, "neg_category_ids": [], "not_exhaustive_category_ids": []}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "area": 90000}],
    "categories": [{"id": 1, "name": "square", "frequency": "f"}],
}
with open(sys.argv[1], "w") as file:
    json.dump(document, file)


def average_precision():
    truth = LVIS(sys.argv[1])
    results = [{"image_id": 1, "category_id": 1, "bbox": box, "score": 0.9}]
    evaluation = LVISEval(truth, LVISResults(truth, results), "bbox")
    evaluation.evaluate()
    try:
        evaluation.accumulate()
    except AttributeError as error:
        return str(error).splitlines()[0]
    evaluation.summarize()
    return round(float(evaluation.get_results()["AP"]), 4)


logging.disable()
seen = [average_precision()]
numpy.float = float
seen.append(average_precision())
print("AP with this NumPy, and with `numpy.float`:", seen)
if "no attribute 'float'" not in str(seen[0]) or seen[1] != 1.0:
    raise SystemExit("this has changed")
EOF
"$folder/venv/bin/python" "$folder/lvis_ap.py" "$folder/lvis.json" 2>"$folder/errors" || { cat "$folder/errors" >&2; exit 1; }
