"""Import of ultralytics without side effects, only here; and its models as `.safetensors`."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..errors import HqsamError
from ..io.atomic import atomic_file

METADATA = "hqsam_detector"
# Config files shipped with ultralytics: a bare name could match a file in the working directory.
ARCHITECTURES = {"yolo11n": "cfg/models/11/yolo11.yaml", "yolov8n": "cfg/models/v8/yolov8.yaml"}


def ultralytics() -> ModuleType:
    """Import the package; see `_imported` and `keep_threads`."""
    package = _imported()
    keep_threads()
    return package


@cache
def _imported() -> ModuleType:
    """Import ultralytics: quiet, offline, without installing packages, and without changes to other libraries.

    It reads environment variables at import and writes its settings to a folder. Its patches of other libraries are
    reverted: otherwise, a broken image would make Pillow look for a plugin to install.
    """
    os.environ |= {"YOLO_VERBOSE": "False", "YOLO_AUTOINSTALL": "False", "YOLO_OFFLINE": "True"}
    if "YOLO_CONFIG_DIR" not in os.environ:
        os.environ["YOLO_CONFIG_DIR"] = tempfile.mkdtemp(prefix="hqsam-")
        atexit.register(shutil.rmtree, os.environ["YOLO_CONFIG_DIR"], ignore_errors=True)
    image_open, torch_save, cv2_threads = Image.open, torch.save, cv2.getNumThreads()
    omp_threads = os.environ.get("OMP_NUM_THREADS")

    try:
        import ultralytics as package
    except ImportError as error:
        raise HqsamError(
            f"a detector needs ultralytics ({error})", remedy="pip install ultralytics, or pass `boxes`"
        ) from None
    import ultralytics.models
    import ultralytics.nn.tasks

    Image.open, torch.save = image_open, torch_save
    cv2.setNumThreads(cv2_threads)
    if omp_threads is None:
        os.environ.pop("OMP_NUM_THREADS", None)
    return package


def keep_threads() -> None:
    """Keep torch's number of threads when ultralytics selects a device.

    On a CPU it sets one thread fewer than there are cores, for the whole process: on two cores, everything else then
    takes twice as long.
    """
    from ultralytics.utils import torch_utils

    torch_utils.NUM_THREADS = torch.get_num_threads()  # type: ignore[attr-defined]


def write_detector(
    path: Path, model: torch.nn.Module, architecture: str, *, imgsz: int, conf: float, iou: float
) -> None:
    """Write a detection model in half precision as `.safetensors`.

    Args:
        model: of that architecture, not fused, with `names` by class index.
        imgsz: training input size in pixels.
        conf, iou: default thresholds; see `DetectorConfig`.
    """
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    names: dict[int, str] = model.names  # type: ignore[assignment]
    defaults = {"imgsz": imgsz, "conf": conf, "iou": iou}
    about = {"architecture": architecture, "names": list(names.values()), "defaults": defaults}
    with atomic_file(path) as file:
        # A single entry, because the order of several is not deterministic.
        file.write(save({key: tensor.contiguous() for key, tensor in state.items()}, {METADATA: json.dumps(about)}))


def read_detector(path: Path) -> Any:
    """Read a file written by `write_detector` as an ultralytics `YOLO`.

    Raises:
        HqsamError: any other file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            state = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
            about = json.loads((file.metadata() or {}).get(METADATA, "{}"))
    except (SafetensorError, OSError) as error:
        raise HqsamError(f"damaged safetensors file ({error})", file=path, remedy="download it again") from None
    if about.get("architecture") not in ARCHITECTURES:
        raise HqsamError(
            "contains no detector", file=path, remedy="pass one made by `python -m hqsam_cli.recipes.detector`"
        )
    package = ultralytics()
    yolo = package.YOLO(str(Path(package.__path__[0]) / ARCHITECTURES[about["architecture"]]))
    model = package.nn.tasks.DetectionModel(yolo.model.yaml, nc=len(about["names"]), verbose=False)
    try:
        model.load_state_dict(state)
    except RuntimeError:
        raise HqsamError(
            f"its tensors do not match {about['architecture']}", file=path, remedy="download it again"
        ) from None
    model.names = dict(enumerate(about["names"]))
    model.args, model.task = yolo.model.args, yolo.task
    yolo.model = model.eval()
    yolo.overrides |= about["defaults"]
    return yolo
