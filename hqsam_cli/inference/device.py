"""Device and precision of inference; torch is only imported on first use."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UsageError

if TYPE_CHECKING:  # torch takes a second to import, and `--help` should not
    import torch

DTYPES = ("float32", "bfloat16", "float16")
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")  # x86 and ARM features, as named by torch
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc, malloc.h
LARGEST_INT = 2**31 - 1


class Compute(NamedTuple):
    """Device and precision.

    Attributes:
        name: of the device, such as `cuda:1`.
        dtype_name: such as `float32`.
    """

    name: str
    dtype_name: str

    @property
    def type(self) -> str:
        """Type of the device, such as `cuda`."""
        return self.name.partition(":")[0]

    @property
    def device(self) -> torch.device:
        """The device in torch."""
        import torch

        return torch.device(self.name)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in torch."""
        import torch

        dtype: torch.dtype = getattr(torch, self.dtype_name)
        return dtype

    @property
    def batch_size(self) -> int:
        """Default number of images per batch."""
        return 1 if self.type == "cpu" else 4

    @property
    def prompts_per_batch(self) -> int:
        """Default number of prompts decoded per batch."""
        return 8 if self.type == "cpu" else 32


def resolve_compute(device: str, dtype: str) -> Compute:
    """Resolve `--device` and `--dtype`; on a CPU also tunes the memory allocator of this process.

    Raises:
        UsageError: unknown or unavailable device or precision.
    """
    resolved = resolve_device(device)
    if resolved.type == "cpu":
        keep_freed_memory()
    return Compute(str(resolved), str(resolve_dtype(dtype, resolved)).removeprefix("torch."))


def resolve_device(name: str) -> torch.device:
    """Resolve `--device`; `auto` is CUDA if available, else MPS, else the CPU.

    Raises:
        UsageError: the device is not available.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(
            "unknown device", option="device", value=name, remedy="use auto, cpu, cuda, cuda:N or mps"
        ) from None
    count = torch.cuda.device_count()
    index = name.partition(":")[2]  # torch keeps only its lowest eight bits
    if device.type == "cuda" and int(index or 0) >= count:
        raise UsageError(
            f"this machine has {count} CUDA devices", option="device", value=name, remedy="use `device` cpu or auto"
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise UsageError("`device` mps: not available on this machine", remedy="use `device` cpu or auto")
    if device.type not in ("cpu", "cuda", "mps"):
        raise UsageError("use auto, cpu, cuda, cuda:N or mps", option="device", value=name)
    return device


def resolve_devices(names: str) -> list[torch.device]:
    """Resolve `--devices`: `all` GPUs of this machine, or a list such as `0,1`.

    Raises:
        UsageError: a device is not available, or device types are mixed.
    """
    import torch

    if names == "all":
        count = torch.cuda.device_count()
        if not count:
            raise UsageError("this machine has no CUDA device", option="devices", value=names, remedy="omit it")
        return [torch.device("cuda", index) for index in range(count)]
    listed = [name.strip() for name in names.split(",")]
    devices = [resolve_device(f"cuda:{name}" if name.isdigit() else name) for name in listed]
    if len({device.type for device in devices}) > 1:
        raise UsageError("devices of several types", option="devices", value=names, remedy="pass GPUs only")
    return devices


def resolve_dtype(name: str, device: torch.device) -> torch.dtype:
    """Resolve `--dtype`; `auto` is bfloat16 if the device supports it natively, else float32.

    Raises:
        UsageError: unknown precision.
    """
    import torch

    if name == "auto":
        return torch.bfloat16 if supports_bfloat16(device) else torch.float32
    if name not in DTYPES:
        raise UsageError(f"use auto, {', '.join(DTYPES)}", option="dtype", value=name)
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def supports_bfloat16(device: torch.device) -> bool:
    """Whether a device has bfloat16 instructions; emulated, it is slower than float32."""
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu":
        return False
    # Missing in older torch versions.
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in BFLOAT16_INSTRUCTIONS)


def keep_freed_memory() -> None:
    """Let malloc reuse large freed blocks instead of returning them to the system.

    The decoder's activations take tens of megabytes each. glibc maps each such block anew and the kernel zeroes it
    page by page, which can take as long as the computation. No effect without glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_INT)
        mallopt(M_TRIM_THRESHOLD, LARGEST_INT)
