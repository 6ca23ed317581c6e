"""Where and how a command computes."""

from __future__ import annotations

import pytest
import torch

from hqsam_cli.compute import Compute, resolve_compute
from hqsam_cli.devices import resolve_dtype
from hqsam_cli.errors import UsageError


def test_a_gpu_gets_more_at_once() -> None:
    cpu, gpu = (Compute(torch.device(name), torch.float32) for name in ("cpu", "cuda"))
    assert cpu.on_cpu and not gpu.on_cpu
    assert (cpu.images_at_once, cpu.prompts_at_once) == (1, 8)
    assert gpu.images_at_once > 1 and gpu.prompts_at_once > 8


def test_names_are_resolved() -> None:
    compute = resolve_compute("cpu", "bfloat16")
    assert (compute.device.type, compute.dtype, compute.dtype_name) == ("cpu", torch.bfloat16, "bfloat16")
    assert resolve_compute("cpu", "auto").dtype == resolve_dtype("auto", torch.device("cpu"))
    with pytest.raises(UsageError, match="dtype"):
        resolve_compute("cpu", "float7")
