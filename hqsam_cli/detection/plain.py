"""A detector as plain tensors: a safetensors file that says which architecture of ultralytics it is for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..errors import HqsamError
from ..io.atomic import atomic_file
from .engine import ultralytics

METADATA = "hqsam_detector"
# Files of the package itself: a name could be that of somebody else's file in the working directory.
ARCHITECTURES = {"yolo11n": "cfg/models/11/yolo11.yaml", "yolov8n": "cfg/models/v8/yolov8.yaml"}


def write_plain(path: Path, model: torch.nn.Module, architecture: str, *, imgsz: int, conf: float, iou: float) -> None:
    """Write a detection model's tensors in half precision, with what a reader must know as metadata.

    Args:
        model: of that architecture, not fused, with `names` by class.
        imgsz: side it was trained at in pixels.
        conf, iou: what it asks for where the user does not; see `DetectorConfig`.
    """
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    names: dict[int, str] = model.names  # type: ignore[assignment]
    defaults = {"imgsz": imgsz, "conf": conf, "iou": iou}
    about = {"architecture": architecture, "names": list(names.values()), "defaults": defaults}
    with atomic_file(path) as file:
        # One entry: of several, the order in the file would be another each time.
        file.write(save({key: tensor.contiguous() for key, tensor in state.items()}, {METADATA: json.dumps(about)}))


def read_plain(path: Path) -> Any:
    """The detector of such a file, as ultralytics' `YOLO`.

    Raises:
        HqsamError: the file is no such file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
            about = json.loads((file.metadata() or {}).get(METADATA, "{}"))
    except (SafetensorError, OSError) as error:
        raise HqsamError(f"damaged safetensors file ({error})", file=path, remedy="fetch it again") from None
    if about.get("architecture") not in ARCHITECTURES:
        raise HqsamError("holds no detector", file=path, remedy="give object-nano, or a checkpoint of ultralytics")
    package = ultralytics()
    yolo = package.YOLO(str(Path(package.__path__[0]) / ARCHITECTURES[about["architecture"]]))
    model = package.nn.tasks.DetectionModel(yolo.model.yaml, nc=len(about["names"]), verbose=False)
    try:
        model.load_state_dict(state)
    except RuntimeError:
        raise HqsamError(
            f"its tensors are not those of {about['architecture']}", file=path, remedy="fetch it again"
        ) from None
    model.names = dict(enumerate(about["names"]))
    model.args, model.task = yolo.model.args, yolo.task
    yolo.model = model.eval()
    yolo.overrides |= about["defaults"]
    return yolo
