"""Options that several commands share and that are of no config."""

from __future__ import annotations

from typing import Annotated

import typer

from ..configs import DEFAULT_MODEL, MODEL_VARIABLE, STDIN, Exif, RunConfig, SegmentConfig
from ..configs.run import IMAGES, RESULTS, SPEED
from ..errors import UsageError
from .from_config import COMPLETIONS, option_of
from .plain import complete_names

__all__ = ["DEFAULT_MODEL", "IMAGES", "MODEL_VARIABLE", "RESULTS", "SPEED", "STDIN"]

InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Images, folders (searched recursively), globs, tars, addresses of these (s3://…), or - for paths from "
        "stdin.",
    ),
]
NullOption = Annotated[
    bool, typer.Option("--null", "-0", rich_help_panel=IMAGES, help="Paths on stdin are NUL-separated.")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and do nothing.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Print a line for every image.")]
OverwriteOption = Annotated[bool, option_of(RunConfig, "overwrite")]
OverwriteEditedOption = Annotated[bool, option_of(RunConfig, "overwrite_edited")]
PruneOption = Annotated[bool, option_of(RunConfig, "prune")]
WorkersOption = Annotated[int, option_of(RunConfig, "workers")]
MaxPixelsOption = Annotated[int, option_of(RunConfig, "max_pixels")]
DeviceOption = Annotated[str, option_of(RunConfig, "device")]
DtypeOption = Annotated[str, option_of(SegmentConfig, "dtype")]
ModelOption = Annotated[str, option_of(SegmentConfig, "model")]
ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME|PATH",
        rich_help_panel=SPEED,
        help=f"As in segment; repeatable, each on every data set. {MODEL_VARIABLE}, or lite, unless given.",
        autocompletion=complete_names(COMPLETIONS["models"]),
    ),
]
DrawnExifOption = Annotated[
    Exif,
    typer.Option(
        rich_help_panel=IMAGES,
        help="How to read photos that EXIF rotates and whose masks fit both ways: upright, or as stored.",
    ),
]


def check_hq(model: str, output: str) -> None:
    """Raise before anything is fetched where a name is of a plain SAM and the masks are not SAM's."""
    from ..weights.registry import WEIGHTS, no_hq_message

    if output != "sam" and model in WEIGHTS and not WEIGHTS[model].has_hq:
        raise UsageError(no_hq_message(model, output))
