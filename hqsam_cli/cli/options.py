"""Options that several commands share, and what follows from them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

if TYPE_CHECKING:
    import torch

DEFAULT_MODEL = "lite"
SPEED = "Model and speed"


class MaskOutput(str, Enum):
    """Which logits become the mask."""

    sum = "sum"
    hq = "hq"
    sam = "sam"


ModelOption = Annotated[
    str,
    typer.Option(
        metavar="NAME|PATH",
        envvar="HQSAM_MODEL",
        rich_help_panel=SPEED,
        help="lite, vit_tiny, vit_b, vit_l, vit_h, or an HQ-SAM, SAM or MobileSAM checkpoint.",
    ),
]
DeviceOption = Annotated[
    str, typer.Option(metavar="auto|cpu|cuda[:N]|mps", rich_help_panel=SPEED, help="Where to compute.")
]
DtypeOption = Annotated[
    str,
    typer.Option(
        metavar="auto|float32|bfloat16|float16",
        rich_help_panel=SPEED,
        help="Precision; auto is bfloat16 on GPUs that have it.",
    ),
]


class Compute(NamedTuple):
    """Where and in which precision to compute."""

    device: torch.device
    dtype: torch.dtype

    @property
    def dtype_name(self) -> str:
        """`float32` and so on."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def on_cpu(self) -> bool:
        """Whether there is no accelerator."""
        return self.device.type == "cpu"


def compute_of(device: str, dtype: str) -> Compute:
    """What `--device` and `--dtype` mean here; on a CPU the process is made to keep the memory it frees.

    Raises:
        UsageError: no such device or precision.
    """
    from ..inference.device import resolved_device, resolved_dtype
    from ..inference.memory import keep_freed_memory

    place = resolved_device(device)
    compute = Compute(place, resolved_dtype(dtype, place))
    if compute.on_cpu:
        keep_freed_memory()
    return compute


def no_hq_message(checkpoint: Path, output: str) -> str:
    """Why a plain SAM file has no such masks."""
    return (
        f"{checkpoint} is a plain SAM without the HQ token, so it has no {output} masks: "
        "pass --mask-output sam, or an HQ-SAM checkpoint"
    )
