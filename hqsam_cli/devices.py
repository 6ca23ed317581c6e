"""Which device and which precision to compute with."""

from __future__ import annotations

import torch

from .errors import UsageError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(name: str) -> torch.device:
    """The device of `--device`; `auto` takes CUDA, then MPS, then the CPU.

    Raises:
        UsageError: the device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(
            "no such device", option="device", value=name, remedy="use auto, cpu, cuda, cuda:N or mps"
        ) from None
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise UsageError(
            f"this machine shows {count} CUDA devices", option="device", value=name, remedy="use `device` cpu or auto"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("`device` mps: not available on this machine", remedy="use `device` cpu or auto")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError("use auto, cpu, cuda, cuda:N or mps", option="device", value=name)
    return device


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """The precision of `--dtype`; `auto` is bfloat16 on GPUs that compute in it, else float32."""
    if name == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float32
    if name not in DTYPES:
        raise UsageError(f"use auto, {', '.join(DTYPES)}", option="dtype", value=name)
    return DTYPES[name]
