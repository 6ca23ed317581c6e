#!/usr/bin/env bash
# faster-coco-eval 1.8.0 (Python 3.11), run 2026-11-30: the two backends of rleToBoundary have boundaries of other widths.
# Expected: with the same ratio both have the width of the boundary IoU paper's code, ratio times diagonal, rounded.
# Seen: where that is an odd half, such as 3.5 for 1 % of an image of 210 x 280, the default backend rounds down to 3, and
# OpenCV's to 4, as the paper's code does.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  faster-coco-eval==1.8.0 pycocotools==2.0.11 opencv-python-headless==4.12.0.88 'numpy==2.2.6'
cat > "$folder/widths.py" <<'EOF'
import numpy as np
from faster_coco_eval.core.mask import rleToBoundary
from pycocotools import mask

seen = {}
for height, width in ((210, 280), (215, 280)):
    rle = mask.encode(np.ones((height, width), np.uint8, order="F"))
    for backend in ("mask_api", "opencv"):
        boundary = mask.decode(rleToBoundary(dict(rle), 0.01, backend=backend))
        seen[height, backend] = int(boundary[:, width // 2].sum()) // 2
print("width of the boundary by height of the image and backend:", seen)
if seen != {(210, "mask_api"): 3, (210, "opencv"): 4, (215, "mask_api"): 4, (215, "opencv"): 4}:
    raise SystemExit("this has changed")
EOF
"$folder/venv/bin/python" "$folder/widths.py"
