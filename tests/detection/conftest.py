"""Files of detectors with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hqsam_cli.detection.yolo import ultralytics, write_detector

SaveDetector = Callable[[str], Path]


@pytest.fixture
def object_detector(tmp_path: Path) -> Path:
    """A nano model of one class as `.safetensors`; it detects boxes with scores from 0.001."""
    torch.manual_seed(0)
    model = ultralytics().nn.tasks.DetectionModel("yolo11n.yaml", nc=1, verbose=False)
    model.names = {0: "object"}
    path = tmp_path / "object.safetensors"
    write_detector(path, model, "yolo11n", imgsz=320, conf=0.25, iou=0.7)
    return path


@pytest.fixture
def saved_detector(tmp_path: Path) -> SaveDetector:
    """`saved_detector(name)` is a `.pt` of that architecture of ultralytics; its classes include person and dog."""

    def save(name: str) -> Path:
        package = ultralytics()
        torch.manual_seed(0)
        yolo = (package.RTDETR if "rtdetr" in name else package.YOLO)(f"{name}.yaml")
        if len(yolo.model.names) == 80:
            yolo.model.names = {n: f"thing {n}" for n in range(80)} | {0: "person", 16: "dog"}
        if name.endswith("-seg"):  # ultralytics drops boxes whose mask is empty, as most random ones are
            head = yolo.model.model[-1]
            head.proto.cv3.bn.bias.data.fill_(1.0)
            for branch in getattr(head, "cv5", head.cv4):  # a YOLOE has them there
                branch[-1].bias.data.fill_(1.0)
        path = tmp_path / f"{name}.pt"
        yolo.save(str(path))
        return path

    return save


@pytest.fixture
def saved_yoloe(saved_detector: SaveDetector) -> SaveDetector:
    """`saved_yoloe(name)` is a YOLOE whose random features differ from place to place, by its normalization layers."""

    def save(name: str) -> Path:
        path = saved_detector(name)
        yolo = ultralytics().YOLO(str(path))
        for module in yolo.model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        blobs = torch.nn.functional.interpolate(torch.rand(2, 3, 8, 10), (256, 320), mode="bicubic").clamp(0, 1)
        prompts = torch.zeros(2, 2, 32, 40)
        prompts[:, 0, 4:12, 3:15] = prompts[:, 1, 15:28, 20:38] = 1
        with torch.no_grad():
            yolo.model.train().predict(blobs, vpe=prompts)
        yolo.model.eval()
        yolo.save(str(path))
        return path

    return save


@pytest.fixture
def photos() -> list[np.ndarray]:
    """Two images of different shapes, RGB."""
    random = np.random.default_rng(0)
    return [random.integers(0, 255, shape, np.uint8) for shape in ((240, 320, 3), (200, 120, 3))]
