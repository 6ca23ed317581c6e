"""Options that several commands share, and what follows from them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, NamedTuple

import typer

from ..configs import Exif
from ..errors import NoInputError, UsageError
from ..weights.registry import WEIGHTS

if TYPE_CHECKING:
    import torch

    from ..io.find import SourceImage

DEFAULT_MODEL = "lite"
STDIN = "-"
IMAGES, SPEED, RESULTS = "Images", "Model and speed", "Results"


InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...", help="Images, folders (searched recursively), globs, or - for paths from stdin."
    ),
]
NullOption = Annotated[
    bool, typer.Option("--null", "-0", rich_help_panel=IMAGES, help="Paths on stdin are NUL-separated.")
]
ExifOption = Annotated[
    Exif, typer.Option(rich_help_panel=IMAGES, help="Turn photos as EXIF says before boxes are read.")
]
MaxPixelsOption = Annotated[int, typer.Option(metavar="N", min=1, rich_help_panel=IMAGES, help="Refuse larger images.")]
WorkersOption = Annotated[
    int, typer.Option(metavar="N", min=1, rich_help_panel=SPEED, help="Threads that decode and write.")
]
OverwriteOption = Annotated[
    bool,
    typer.Option(
        "--overwrite", rich_help_panel=RESULTS, help="Start again instead of continuing; replace what is there."
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="A line for every image.")]

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


def input_images(inputs: list[str], null: bool, output: str) -> list[SourceImage]:
    """The images that INPUT means, but for what is in the output.

    Raises:
        NoInputError: there are none.
    """
    from ..io.find import find_images

    # Where the output is an input itself, its masks are none.
    exclude = [] if output == STDIN else [output, *(str(Path(output, name)) for name in ("masks", "idmaps"))]
    images = find_images(inputs, stdin=sys.stdin.buffer, null_separated=null, exclude=exclude)
    if not images:
        raise NoInputError(f"no image in {', '.join(inputs)}: give images, folders of images, or globs")
    return images


def results_stream() -> BinaryIO:
    """Where `--output -` goes.

    Raises:
        UsageError: stdout is closed.
    """
    if sys.stdout is None:
        raise UsageError("--output -: stdout is closed; give a folder")
    return sys.stdout.buffer


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
    """What `--device` and `--dtype` mean here; on a CPU the process is made to keep the memory it frees.

    Raises:
        UsageError: no such device or precision.
    """
    from ..devices import resolve_device, resolve_dtype
    from ..memory import keep_freed_memory

    place = resolve_device(device)
    compute = Compute(place, resolve_dtype(dtype, place))
    if compute.on_cpu:
        keep_freed_memory()
    return compute


def check_hq(model: str, output: str) -> None:
    """Raise before anything is fetched where a name is of a plain SAM and the masks are not SAM's."""
    if output != "sam" and model in WEIGHTS and not WEIGHTS[model].has_hq:
        raise UsageError(no_hq_message(model, output))


def no_hq_message(checkpoint: Path | str, output: str) -> str:
    """Why a plain SAM has no such masks."""
    return (
        f"{checkpoint} is a plain SAM without the HQ token, so it has no {output} masks: "
        "pass --mask-output sam, or an HQ-SAM checkpoint"
    )
