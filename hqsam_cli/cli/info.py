"""`hqsam info`: versions and devices, for bug reports."""

from __future__ import annotations

import platform
from typing import Annotated, Any

import typer

from .. import __version__
from .console import print_json, print_table

OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
PACKAGES = (
    *("torch", "torchvision", "ultralytics", "opencv", "pycocotools", "numpy", "Pillow", "safetensors"),
    *("huggingface_hub", "typer", "rich", "tqdm"),
)


def info(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show versions, devices, the cache and downloaded weights, for bug reports."""
    facts = environment()
    if as_json:
        print_json(facts)
        return
    hub = facts["hub"]
    here = [row["name"] if row["state"] == "here" else f"{row['name']} ({row['state']})" for row in facts["weights"]]
    rows = [
        ("hqsam", facts["hqsam"]),
        ("Python", facts["python"]),
        ("platform", facts["platform"]),
        *((name, found or "not installed") for name, found in facts["packages"].items()),
        *((device["name"], f"{device['description']}; {', '.join(device['dtypes'])}") for device in facts["devices"]),
        ("--device auto", facts["auto"]),
        ("hub", "not usable" if hub is None else f"{hub['endpoint']}{', offline' if hub['offline'] else ''}"),
        ("hub cache", "-" if hub is None else hub["cache"]),
        ("weights", ", ".join(here) or "none"),
        ("detector", facts["detector"] or "none in the package"),
    ]
    print_table((), rows)


def environment() -> dict[str, Any]:
    """What `hqsam info --json` prints; a missing or broken package is reported, never an error."""
    from ..detection.files import EMBEDDED_PATH, has_embedded

    devices, auto = _devices()
    hub, weights = _hub()
    return {
        "hqsam": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(*OPENCV if name == "opencv" else (name,)) for name in PACKAGES},
        "devices": devices,
        "auto": auto,
        "hub": hub,
        "weights": weights,
        "detector": str(EMBEDDED_PATH) if has_embedded() else None,
    }


def _version(*distributions: str) -> str | None:
    """Of the first distribution that is installed."""
    from importlib.metadata import PackageNotFoundError, version

    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def _devices() -> tuple[list[dict[str, Any]], str]:
    """Devices available to torch, with the precisions of `--dtype`, and what `auto` selects."""
    try:
        import torch

        from ..inference.device import DTYPES, resolve_device, resolve_dtype
    except (ImportError, OSError) as error:  # OSError: a library that torch is linked to
        return [], f"torch cannot be imported ({error})"
    devices = [{"name": "cpu", "description": f"{torch.get_num_threads()} threads", "dtypes": list(DTYPES)}]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        memory = f"{properties.total_memory / 2**30:.0f} GiB, compute capability {properties.major}.{properties.minor}"
        description = f"{properties.name}, {memory}, CUDA {torch.version.cuda}"
        devices.append({"name": f"cuda:{index}", "description": description, "dtypes": list(DTYPES)})
    if torch.backends.mps.is_available():
        devices.append({"name": "mps", "description": platform.processor(), "dtypes": list(DTYPES)})
    device = resolve_device("auto")
    return devices, f"{device}, {str(resolve_dtype('auto', device)).removeprefix('torch.')}"


def _hub() -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """The hub, its cache, and the weights that are downloaded."""
    try:
        from huggingface_hub import constants

        from ..weights.hub import inventory
    except ImportError:
        return None, []
    hub = {"endpoint": constants.ENDPOINT, "cache": constants.HF_HUB_CACHE, "offline": constants.HF_HUB_OFFLINE}
    return hub, [row for row in inventory() if row["state"] != "absent"]
