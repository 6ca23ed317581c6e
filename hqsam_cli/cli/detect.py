"""`hqsam detect`: images to boxes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..configs import DetectConfig
from ..configs.run import RESULTS
from .from_config import with_options
from .options import DryRunOption, InputsArgument, NullOption, QuietOption, VerboseOption
from .reporter import ConsoleReporter, run_and_exit

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
            help="Output file, or folder for yolo, or its URL (s3://…); - for stdout. By default in ./hqsam_detect.",
        ),
    ] = None,
    null: NullOption = False,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Detect objects in images: boxes with classes and scores.

    hqsam segment --boxes reads the output; hqsam segment --detector detects and segments in one pass.
    Run the same command again to continue an interrupted run.
    """
    from ..batch.detect import prepare_detect

    reporter = ConsoleReporter(quiet=quiet, verbose=verbose, results="boxes")
    run = prepare_detect(
        inputs, output, config, reporter, stdin=sys.stdin.buffer, null_separated=null, may_fetch=not dry_run
    )
    run_and_exit(run, reporter, dry_run=dry_run)
