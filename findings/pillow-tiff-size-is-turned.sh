#!/usr/bin/env bash
# Pillow 13.0.0 (rasterio 1.4.4), run 2026-12-01: the size of an opened TIFF with orientation 6 is that
# of the turned image, while the size of an opened JPEG with orientation 6 is the stored one.
# Expected: one rule; GDAL has the stored size of both.
# Seen: 20 x 10 pixels stored are (10, 20) for the TIFF and (20, 10) for the JPEG; exif_transpose() of both is (10, 20).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 rasterio==1.4.4
cat > "$folder/ask.py" <<'EOF'
import sys
import warnings

import rasterio
from PIL import Image, ImageOps
from PIL.ExifTags import Base

warnings.simplefilter("ignore")
seen = {}
for suffix in ("tif", "jpg"):
    path = f"{sys.argv[1]}/turned.{suffix}"
    exif = Image.Exif()
    exif[Base.Orientation] = 6
    Image.new("RGB", (20, 10)).save(path, exif=exif, **({"tiffinfo": {274: 6}} if suffix == "tif" else {}))
    with Image.open(path) as image, rasterio.open(path) as raster:
        seen[suffix] = image.size, ImageOps.exif_transpose(image).size, (raster.width, raster.height)
    print(f"{suffix}: Pillow {seen[suffix][0]}, transposed {seen[suffix][1]}, GDAL {seen[suffix][2]}")
if seen != {"tif": ((10, 20), (10, 20), (20, 10)), "jpg": ((20, 10), (10, 20), (20, 10))}:
    raise SystemExit("this has changed")
EOF
"$folder/venv/bin/python" "$folder/ask.py" "$folder"
