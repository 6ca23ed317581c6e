"""Where a command computes, in which precision, and how much of it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # torch takes a second to import, and `--help` should not
    import torch


class Compute(NamedTuple):
    """Where and in which precision to compute."""

    device: torch.device
    dtype: torch.dtype

    @property
    def dtype_name(self) -> str:
        """`float32` and so on."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def images_at_once(self) -> int:
        """Images of a batch, where nobody says how many."""
        return 1 if self.on_cpu else 4

    @property
    def prompts_at_once(self) -> int:
        """Prompts decoded at once, where nobody says how many."""
        return 8 if self.on_cpu else 32

    @property
    def on_cpu(self) -> bool:
        """Whether there is no accelerator."""
        return self.device.type == "cpu"


def resolve_compute(device: str, dtype: str) -> Compute:
    """What `--device` and `--dtype` mean on this machine; on a CPU the process is made to keep the memory it frees.

    Raises:
        UsageError: no such device or precision.
    """
    from .devices import resolve_device, resolve_dtype
    from .memory import keep_freed_memory

    place = resolve_device(device)
    compute = Compute(place, resolve_dtype(dtype, place))
    if compute.on_cpu:
        keep_freed_memory()
    return compute
