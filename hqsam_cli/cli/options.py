"""Options that several commands share and that no config declares."""

from __future__ import annotations

from typing import Annotated

import typer

from ..configs import DEFAULT_MODEL, MODEL_VARIABLE, STDIN, RunConfig, SegmentConfig
from ..configs.run import IMAGES, RESULTS, SPEED
from .from_config import COMPLETIONS, option_of
from .plain import complete_names

__all__ = ["DEFAULT_MODEL", "IMAGES", "MODEL_VARIABLE", "RESULTS", "SPEED", "STDIN"]

InputsArgument = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Images, folders (searched recursively), globs or tar files, local or as URLs (s3://…); - for paths from "
        "stdin.",
    ),
]
NullOption = Annotated[
    bool,
    typer.Option("--null", "-0", help="Paths on stdin are NUL-separated, as find -print0 writes them."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Print what would be done, without doing it.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Print a line for every image.")]
OverwriteOption = Annotated[bool, option_of(RunConfig, "overwrite")]
OverwriteEditedOption = Annotated[bool, option_of(RunConfig, "overwrite_edited")]
PruneOption = Annotated[bool, option_of(RunConfig, "prune")]
WorkersOption = Annotated[int, option_of(RunConfig, "workers")]
MaxPixelsOption = Annotated[int, option_of(RunConfig, "max_pixels")]
DeviceOption = Annotated[str, option_of(RunConfig, "device")]
ModelOption = Annotated[str, option_of(SegmentConfig, "model")]
ModelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME|PATH",
        rich_help_panel=SPEED,
        help=f"Model, as in hqsam segment; repeatable; {MODEL_VARIABLE} or lite by default.",
        autocompletion=complete_names(COMPLETIONS["models"]),
    ),
]
