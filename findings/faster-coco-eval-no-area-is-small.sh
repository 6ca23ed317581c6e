#!/usr/bin/env bash
# faster-coco-eval 1.8.0 (Python 3.11), run 2026-11-30: an annotation without `area` is a small object.
# Expected: the area of its mask or box, as for results, or the KeyError of pycocotools 2.0.11, whose drop-in it is.
# Seen: an object of 90,000 pixels counts as small; there are no large ones, whose AP is -1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check faster-coco-eval==1.8.0 numpy==2.4.6
cat > "$folder/area.py" <<'EOF'
from faster_coco_eval import COCO, COCOeval_faster


def by_size(**area):
    truth = COCO()
    truth.dataset = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 400, "height": 400}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [50, 50, 300, 300], "iscrowd": 0, **area},
        ],
        "categories": [{"id": 1, "name": "square"}],
    }
    truth.createIndex()
    results = truth.loadRes([{"image_id": 1, "category_id": 1, "bbox": [50, 50, 300, 300], "score": 0.9}])
    evaluation = COCOeval_faster(truth, results, iouType="bbox", print_function=lambda *_: None)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return dict(zip(("small", "medium", "large"), map(float, evaluation.stats[3:6])))


given, missing = by_size(area=90000), by_size()
print("AP with area:", given)
print("AP without:  ", missing)
if given != {"small": -1, "medium": -1, "large": 1} or missing != {"small": 1, "medium": -1, "large": -1}:
    raise SystemExit("this has changed")
EOF
"$folder/venv/bin/python" "$folder/area.py"
