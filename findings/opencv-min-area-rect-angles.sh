#!/usr/bin/env bash
# OpenCV 4.10.0.84 and 4.14.0.94 (Python 3.11), run 2026-11-30: cv2.minAreaRect has other angles in a later 4.x.
# Expected: angles above 0 up to 90 degrees, as since 4.5.1, on which code relies that swaps width and height.
# Seen: 4.14 has angles from -90 to below 0, and width and height are swapped for a box turned by 30 degrees. 5.0.0.93 is as 4.14.
# The rectangles are the same, and so are the corners of cv2.boxPoints, from another one on.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat > angles.py <<'PY'
import cv2
import numpy as np

upright = [(0, 0), (40, 0), (40, 20), (0, 20)]
turned = [(40, 17), (75, 37), (65, 54), (30, 34)]
made = []
for corners in (upright, turned):
    _, size, angle = cv2.minAreaRect(np.array(corners, np.float32))
    made.append(f"{size[0]:.0f} x {size[1]:.0f} at {angle:.0f}")
print(", ".join(made))
PY
for version in 4.10.0.84 4.14.0.94; do
    python3 -m venv "$version"
    "$version/bin/pip" install --quiet --disable-pip-version-check "opencv-python-headless==$version" numpy==2.2.6
    echo "$version: $("$version/bin/python" angles.py)" | tee -a seen
done
cat > expected <<'TXT'
4.10.0.84: 20 x 40 at 90, 41 x 20 at 30
4.14.0.94: 20 x 40 at -90, 20 x 41 at -60
TXT
cmp -s seen expected || { echo "this has changed"; exit 1; }
