#!/usr/bin/env bash
# torch 2.14.1 (onnx 1.23.2, Python 3.11), run 2026-11-30: an export changes the results of the model that was exported.
# Expected: torch.onnx.export leaves the modes of all modules as they were.
# Seen: a network in evaluation mode, in a wrapper that selects its outputs, as is usual, is in training mode afterwards, if nobody
# called eval() on the wrapper: with dynamo=False, the mode of the outer module is given back to all inner ones. The graph is right.
# The network in torch then normalizes by the batch, changes its running means with every input, and reports nothing.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.14.1 onnx==1.23.2
cat > export.py <<'PY'
import warnings

import torch
from torch import nn

warnings.simplefilter("ignore")
torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).eval()


class FirstChannel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images)[:, :1]


images = torch.rand(2, 3, 8, 8)
with torch.no_grad():
    before = network(images)
    torch.onnx.export(FirstChannel(), (images,), "network.onnx", dynamo=False)
    changed = not torch.allclose(network(images), before)
print(f"training {network.training}, {network[1].training}; results changed: {changed}")
if not (network[1].training and changed):
    raise SystemExit("this has changed")
PY
venv/bin/python export.py 2> log || { cat log; exit 1; }
