#!/usr/bin/env bash
# FiftyOne 1.22.1 (Python 3.11), run 2026-11-30: its importer of CVAT files reads rotated boxes as upright ones.
# Expected: a box with rotation="90" is the box around its corners, or has the angle as an attribute, or is refused.
# Seen: a bar of 60 x 10 pixels turned upright is read as a bar of 60 x 10 pixels that lies, without an attribute or a warning.
# FiftyOne reads the rotation of shapes that it downloads from a CVAT server, but not that of "CVAT for images 1.1".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check fiftyone==1.22.1
mkdir images
cat > annotations.xml <<'XML'
<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<image id="0" name="a.png" width="100" height="100">
<box label="bar" source="manual" occluded="0" z_order="0" xtl="20.00" ytl="45.00" xbr="80.00" ybr="55.00" rotation="90.00"/>
</image></annotations>
XML
cat > read.py <<'PY'
from fiftyone.utils.cvat import CVATImageDatasetImporter
from PIL import Image

Image.new("RGB", (100, 100)).save("images/a.png")
with CVATImageDatasetImporter(data_path="images", labels_path="annotations.xml") as samples:
    ((_, _, labels),) = samples
(found,) = labels["detections"].detections
box = [round(100 * number) for number in found.bounding_box]
values = [name for name in found.field_names if "rot" in name or "angle" in name]
print(f"x, y, width, height: {box}; fields of the rotation: {values}, attributes: {dict(found.attributes)}")
if (box, values, found.attributes) != ([20, 45, 60, 10], [], {}):
    raise SystemExit("this has changed")
PY
HOME="$folder" venv/bin/python read.py 2> log || { cat log; exit 1; }
