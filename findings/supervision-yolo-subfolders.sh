#!/usr/bin/env bash
# supervision 0.31.2 (Python 3.11), run 2026-11-30: from_yolo leaves out images in subfolders without a word.
# Expected: a data set that ultralytics trains on, with images/one/a.png and labels/one/a.txt, is read whole, or refused.
# Seen: only the images directly in the folder are read: 1 of 2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check supervision==0.31.2
mkdir -p images/one labels/one
printf 'names: [shape]\nnc: 1\n' > data.yaml
echo "0 0.2 0.2 0.8 0.2 0.8 0.8" | tee labels/b.txt > labels/one/a.txt
cat > read.py <<'PY'
import supervision
from PIL import Image

for name in ("images/b.png", "images/one/a.png"):
    Image.new("RGB", (50, 50)).save(name)
data = supervision.DetectionDataset.from_yolo("images", "labels", "data.yaml", force_masks=True)
print(f"images: {len(data)} of 2")
if len(data) != 1:
    raise SystemExit("this has changed")
PY
venv/bin/python read.py 2> log || { cat log; exit 1; }
