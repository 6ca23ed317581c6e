"""A detector as plain tensors: a safetensors file that says which architecture of ultralytics it is for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..errors import HqsamError
from ..outputs.atomic import atomic_file
from .engine import ultralytics

# Files of the package itself: a name could be that of somebody else's file in the working directory.
ARCHITECTURES = {"yolo11n": "cfg/models/11/yolo11.yaml", "yolov8n": "cfg/models/v8/yolov8.yaml"}


def write_plain(path: Path, model: torch.nn.Module, architecture: str, imgsz: int) -> None:
    """Write a detection model's tensors in half precision, with what a reader must know as metadata.

    Args:
        model: of that architecture, not fused, with `names` by class.
        imgsz: side it was trained at in pixels.
    """
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    names: dict[int, str] = model.names  # type: ignore[assignment]
    metadata = {"detector": architecture, "names": json.dumps(list(names.values())), "imgsz": str(imgsz)}
    with atomic_file(path) as file:
        file.write(save({key: tensor.contiguous() for key, tensor in state.items()}, metadata))


def read_plain(path: Path) -> Any:
    """The detector of such a file, as ultralytics' `YOLO`.

    Raises:
        HqsamError: the file is no such file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise HqsamError(f"{path}: damaged safetensors file ({error}); fetch it again") from None
    if metadata.get("detector") not in ARCHITECTURES:
        raise HqsamError(f"{path}: holds no detector; give one that `python -m hqsam_cli.training.detector` made")
    package = ultralytics()
    yolo = package.YOLO(str(Path(package.__path__[0]) / ARCHITECTURES[metadata["detector"]]))
    names = json.loads(metadata["names"])
    model = package.nn.tasks.DetectionModel(yolo.model.yaml, nc=len(names), verbose=False)
    try:
        model.load_state_dict(state)
    except RuntimeError:
        raise HqsamError(f"{path}: its tensors are not those of {metadata['detector']}; fetch it again") from None
    model.names = dict(enumerate(names))
    model.args, model.task = yolo.model.args, yolo.task
    yolo.model = model.eval()
    yolo.overrides["imgsz"] = int(metadata["imgsz"])
    return yolo
