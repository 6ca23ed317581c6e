#!/usr/bin/env bash
# datumaro 1.13.12 (Python 3.11), run 2026-11-30: whether a COCO file is found depends on its name and its folder.
# Expected: Dataset.import_from(FOLDER, "coco_instances") reads the COCO JSON of the folder, or names the file that it needs.
# Seen: only `annotations/instances_<subset>.json` beside `images/` is read. Of `annotations/instances.json`, which is read by its
# path, it says that there is no dataset; `instances_<subset>.json` beside `images/` fails to import. A polygon with its bbox
# becomes two annotations.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check datumaro==1.13.12
cat > read.py <<'PY'
import json
import os

import datumaro
from PIL import Image

annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 5, 8, 6], "area": 48, "iscrowd": 0}
annotation["segmentation"] = [[4, 5, 12, 5, 12, 11, 4, 11]]
document = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
    "annotations": [annotation],
    "categories": [{"id": 1, "name": "square"}],
}


def read(data, file, place):
    for name in (f"{data}/images", os.path.dirname(f"{data}/{file}")):
        os.makedirs(name, exist_ok=True)
    Image.new("RGB", (40, 30)).save(f"{data}/images/a.jpg")
    with open(f"{data}/{file}", "w") as out:
        json.dump(document, out)
    try:
        items = list(datumaro.Dataset.import_from(place, "coco_instances"))
        return [len(item.annotations) for item in items]
    except Exception as error:
        return type(error).__name__


seen = {
    "annotations/instances_val.json": read("a", "annotations/instances_val.json", "a"),
    "annotations/instances.json": read("b", "annotations/instances.json", "b"),
    "instances_val.json": read("c", "instances_val.json", "c"),
    "by its path": read("d", "annotations/instances.json", "d/annotations/instances.json"),
}
for name, found in seen.items():
    print(f"{name}: {found}")
if list(seen.values()) != [[2], "DatasetNotFoundError", "DatasetImportError", [2]]:
    raise SystemExit("this has changed")
PY
venv/bin/python read.py 2> log || { cat log; exit 1; }
