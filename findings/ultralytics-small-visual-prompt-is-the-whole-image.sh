#!/usr/bin/env bash
# ultralytics 8.4.190 (torch 2.14.1, Python 3.11), run 2026-11-30: the visual prompt of a small box stands for the whole image.
# Expected: the embedding of a box in a reference image is that of what is in the box, or a box that is too small is refused.
# Seen: YOLOE draws boxes on a grid of 8 pixels of the resized image. A box between the corners of the grid is empty there, its
# attention then extends over the whole image, and nothing is reported: small boxes at any two places have equal embeddings.
# At imgsz 640, in a photo of 4000 pixels, that may be an object of 50 pixels.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export YOLO_CONFIG_DIR="$folder" OMP_NUM_THREADS=1
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check ultralytics==8.4.190 torch==2.14.1
cat > prompts.py <<'PY'
import numpy as np
import torch
from ultralytics import YOLOE
from ultralytics.models.yolo.yoloe import YOLOEVPDetectPredictor

torch.manual_seed(0)
model = YOLOE("yoloe-11s.yaml")
for module in model.model.modules():  # random weights that distinguish inputs
    if isinstance(module, torch.nn.BatchNorm2d):
        torch.nn.init.normal_(module.running_mean, std=0.1)
        torch.nn.init.uniform_(module.running_var, 0.3, 0.6)
image = np.random.default_rng(0).integers(0, 256, (320, 320, 3), dtype=np.uint8)
image[:, 160:] //= 8


def embedding(x0: int, y0: int, side: int) -> torch.Tensor:
    predictor = YOLOEVPDetectPredictor(overrides={"imgsz": 320, "verbose": False, "save": False, "device": "cpu"})
    predictor.setup_model(model.model, verbose=False)
    predictor.set_prompts({"bboxes": np.array([[x0, y0, x0 + side, y0 + side]]), "cls": np.array([0])})
    return predictor.get_vpe(image)[0, 0]


def differ(side: int) -> bool:
    """Whether squares around a point in the bright and one in the dark half have different embeddings."""
    bright, dark = (embedding(x - side // 2, y - side // 2, side) for x, y in ((20, 20), (260, 204)))
    return float((bright - dark).abs().max()) > 1e-3


found = {side: differ(side) for side in (6, 16)}
print(f"two boxes of 6 pixels differ: {found[6]}; of 16 pixels: {found[16]}")
if found != {6: False, 16: True}:
    raise SystemExit("this has changed")
PY
venv/bin/python prompts.py 2> log | tail -1 || { cat log; exit 1; }
