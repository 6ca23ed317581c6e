#!/usr/bin/env bash
# opencv-python-headless 5.0.0.93 (rasterio 1.4.4), run 2026-12-01: imread of a TIFF with three bands of 16 bits that are not
# marked as colors, as rasterio writes them by default and satellite images often are, is one channel.
# Expected: the three bands, or None; the same file with PHOTOMETRIC=RGB has three channels.
# Seen: an array of two dimensions, without an error: the weighted mean that makes red, green and blue gray.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check opencv-python-headless==5.0.0.93 rasterio==1.4.4 numpy
cat > "$folder/ask.py" <<'EOF'
import sys

import cv2
import numpy as np
import rasterio

bands = np.stack([np.full((8, 9), value, np.uint16) for value in (1000, 2000, 3000)])
seen = {}
for name, options in {"default": {}, "RGB": {"photometric": "RGB"}}.items():
    path = f"{sys.argv[1]}/{name}.tif"
    form = {"driver": "GTiff", "width": 9, "height": 8, "count": 3, "dtype": "uint16", **options}
    transform = rasterio.Affine(10, 0, 500000, 0, -10, 4600000)
    with rasterio.open(path, "w", crs="EPSG:32633", transform=transform, **form) as file:
        file.write(bands)
    read = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    seen[name] = read.shape, sorted(set(read.ravel().tolist()))
    print(f"{name}: shape {read.shape}, values {seen[name][1]}")
if seen != {"default": ((8, 9), [1815]), "RGB": ((8, 9, 3), [1000, 2000, 3000])}:
    raise SystemExit("this has changed")
EOF
"$folder/venv/bin/python" "$folder/ask.py" "$folder"
