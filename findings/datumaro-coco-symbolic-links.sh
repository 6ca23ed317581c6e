#!/usr/bin/env bash
# datumaro 1.13.12 (Python 3.11), run 2026-11-30: a COCO data set whose images are symbolic links cannot be imported.
# Expected: Dataset.import_from follows a link in `images/` to a photo elsewhere, as other readers of such folders do, or reads
# the annotations without the photo, as it does if the photo is missing.
# Seen: the whole import fails with "escapes base directory". A hard link to the same photo is read.
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

Image.new("RGB", (40, 30)).save("photo.jpg")
annotation = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 5, 8, 6], "area": 48, "iscrowd": 0}
annotation["segmentation"] = [[4, 5, 12, 5, 12, 11, 4, 11]]
document = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
    "annotations": [annotation],
    "categories": [{"id": 1, "name": "square"}],
}


def read(data, link):
    os.makedirs(f"{data}/images")
    os.makedirs(f"{data}/annotations")
    link(os.path.abspath("photo.jpg"), f"{data}/images/a.jpg")
    with open(f"{data}/annotations/instances_val.json", "w") as out:
        json.dump(document, out)
    try:
        return f"items: {len(list(datumaro.Dataset.import_from(data, 'coco_instances')))}"
    except Exception as error:
        while error.__cause__ is not None:
            error = error.__cause__
        return "refused, escapes base directory" if "escapes base directory" in str(error) else repr(error)


seen = read("symbolic", os.symlink), read("hard", os.link), read("missing", lambda *_: None)
print("symbolic link: {}\nhard link: {}\nno photo: {}".format(*seen))
if seen != ("refused, escapes base directory", "items: 1", "items: 1"):
    raise SystemExit("this has changed")
PY
venv/bin/python read.py 2> log || { cat log; exit 1; }
