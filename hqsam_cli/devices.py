"""Which device and which precision to compute with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from .errors import UsageError

BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # of x86 and of ARM, as torch names them
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
    index = name.partition(":")[2]  # torch keeps its last eight bits
    if device.type == "cuda" and int(index or 0) >= count:
        raise UsageError(
            f"this machine shows {count} CUDA devices", option="device", value=name, remedy="use `device` cpu or auto"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("`device` mps: not available on this machine", remedy="use `device` cpu or auto")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError("use auto, cpu, cuda, cuda:N or mps", option="device", value=name)
    return device


def resolve_devices(names: str) -> list[torch.device]:
    """The devices of `--devices`: `all` GPUs of this machine, or those of a list such as `0,1`.

    Raises:
        UsageError: one is not there, or they are of several kinds.
    """
    if names == "all":
        count = torch.cuda.device_count()
        if not count:
            raise UsageError("this machine shows no CUDA device", option="devices", value=names, remedy="leave it out")
        return [torch.device("cuda", index) for index in range(count)]
    listed = [name.strip() for name in names.split(",")]
    devices = [resolve_device(f"cuda:{name}" if name.isdigit() else name) for name in listed]
    if len({device.type for device in devices}) > 1:
        raise UsageError("devices of several kinds", option="devices", value=names, remedy="name GPUs alone")
    return devices


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16 itself; where it is emulated it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    # Older versions of torch do not say.
    capabilities: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in BFLOAT16_INSTRUCTIONS)


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """The precision of `--dtype`; `auto` is bfloat16 where the device computes in it, else float32."""
    if name == "auto":
        return torch.bfloat16 if has_bfloat16(device) else torch.float32
    if name not in DTYPES:
        raise UsageError(f"use auto, {', '.join(DTYPES)}", option="dtype", value=name)
    return DTYPES[name]
