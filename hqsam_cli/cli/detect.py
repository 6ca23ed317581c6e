"""`hqsam detect`: folders of photos to boxes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..configs import DetectConfig
from ..configs.run import RESULTS
from .console import ConsoleReporter
from .from_config import with_options
from .options import DryRunOption, InputsArgument, NullOption, QuietOption, VerboseOption
from .run import run_and_exit

EPILOG = """
[bold]Examples[/bold]

hqsam detect ./imgs --output dets.json

hqsam detect ./imgs --detector yolo11n.pt --classes person,dog --score-threshold 0.4 --output dets.json

hqsam detect ./imgs --format yolo --output labels

hqsam detect ./imgs --output - | hqsam segment ./imgs --boxes -
"""


@with_options
def detect(
    inputs: InputsArgument,
    config: DetectConfig,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            rich_help_panel=RESULTS,
            help="File, folder of labels for yolo, the address of either (s3://…), or - for stdout. Default: in "
            "./hqsam_detect.",
        ),
    ] = None,
    null: NullOption = False,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Find the objects of images: boxes with class and score.

    hqsam segment --boxes reads what this writes. Both in one go, with each image decoded once:
    hqsam segment --detector. The same command again continues where it stopped.
    """
    from ..batch.detect import prepare_detect

    reporter = ConsoleReporter(quiet=quiet, verbose=verbose, results="boxes")
    run = prepare_detect(
        inputs, output, config, reporter, stdin=sys.stdin.buffer, null_separated=null, may_fetch=not dry_run
    )
    run_and_exit(run, reporter, dry_run=dry_run)
