#!/usr/bin/env bash
# sahi 0.12.8 (Python 3.11), run 2026-11-30: COCO that it reads and writes has other ids, and objects without their masks.
# Expected: Coco.from_coco_dict_or_path(FILE).json has the ids of images and annotations of the file, and its masks.
# Seen: both are numbered from 1, so results for the file do not belong to it; an annotation with RLE stays, with an empty
# segmentation. A warning tells of the RLE, none of the ids.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check sahi==0.12.8
cat > read.py <<'PY'
from sahi.utils.coco import Coco

same = {"image_id": 77, "category_id": 3, "bbox": [4, 5, 8, 6], "area": 48, "iscrowd": 0}
square = [[4, 5, 12, 5, 12, 11, 4, 11]]
rle = {"size": [30, 40], "counts": [125, 6, *[24, 6] * 7, 859]}  # the same square, in columns
document = {
    "images": [{"id": 77, "file_name": "a.jpg", "width": 40, "height": 30}],
    "annotations": [{**same, "id": 500, "segmentation": square}, {**same, "id": 501, "segmentation": rle}],
    "categories": [{"id": 3, "name": "square"}],
}
written = Coco.from_coco_dict_or_path(document).json
images = [own["id"] for own in written["images"]]
annotations = [(own["id"], own["image_id"], bool(own["segmentation"])) for own in written["annotations"]]
print(f"images {images}, annotations (id, image_id, has a mask) {annotations}")
if images != [1] or annotations != [(1, 1, True), (2, 1, False)]:
    raise SystemExit("this has changed")
PY
venv/bin/python read.py 2> log || { cat log; exit 1; }
