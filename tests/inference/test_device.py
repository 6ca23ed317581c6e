"""Device, precision and default batch sizes."""

from __future__ import annotations

import pytest
import torch

from hqsam_cli.errors import UsageError
from hqsam_cli.inference.device import DTYPES, Compute, resolve_compute, resolve_dtype


def test_batches_are_larger_on_a_gpu() -> None:
    cpu, gpu = (Compute(name, "float32") for name in ("cpu", "cuda"))
    assert (cpu.batch_size, cpu.prompts_per_batch) == (1, 8)
    assert gpu.batch_size > 1 and gpu.prompts_per_batch > 8


def test_names_are_resolved() -> None:
    compute = resolve_compute("cpu", "bfloat16")
    assert (compute.device.type, compute.dtype, compute.dtype_name) == ("cpu", torch.bfloat16, "bfloat16")
    assert [resolve_compute("cpu", name).dtype_name for name in DTYPES] == list(DTYPES)
    assert resolve_compute("cpu", "auto").dtype == resolve_dtype("auto", torch.device("cpu"))
    with pytest.raises(UsageError, match="dtype"):
        resolve_compute("cpu", "float7")
