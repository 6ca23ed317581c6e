"""ultralytics, imported in one place: quiet, sending and installing nothing, and leaving other libraries alone."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from functools import cache
from types import ModuleType

import cv2
import torch
from PIL import Image

from ..errors import HqsamError


def ultralytics() -> ModuleType:
    """The package, made to mind its own business: see `_imported` and `keep_threads`."""
    package = _imported()
    keep_threads()
    return package


@cache
def _imported() -> ModuleType:
    """The package, with nothing else changed by its import.

    It reads its switches as it is imported and writes its settings where it is told to. What it changes in other
    libraries is put back: without that, a broken image would make Pillow look for a plugin to install.
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
    """Have ultralytics leave torch's number of threads as it is now, where it chooses a device.

    On a CPU it sets one thread fewer than there are cores, and not for itself alone: on two cores whatever else the
    process computes takes twice as long from then on.
    """
    from ultralytics.utils import torch_utils

    torch_utils.NUM_THREADS = torch.get_num_threads()  # type: ignore[attr-defined]
