"""`hqsam segment`: images and prompts to masks."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ..configs import SegmentConfig
from ..configs.run import RESULTS
from .from_config import with_options
from .options import DryRunOption, InputsArgument, NullOption, QuietOption, VerboseOption
from .reporter import ConsoleReporter, run_and_exit

EPILOG = """
[bold]Examples[/bold]

hqsam segment ./imgs

hqsam segment ./imgs --detector yolo11n.pt --classes person,dog

hqsam segment ./imgs --like example.jpg --like-boxes example.json

hqsam segment ./imgs --boxes dets.json --model vit_l --format coco --output masks

hqsam segment ./imgs --everything --points-per-side 16

find . -name '*.jpg' -print0 | hqsam segment -0 - --boxes dets.json

hqsam detect ./imgs --output - | hqsam segment ./imgs --boxes - --output - | jq -r '.annotations[].score'
"""


@with_options
def segment(
    inputs: InputsArgument,
    config: SegmentConfig,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            rich_help_panel=RESULTS,
            help="Output folder, or its URL (s3://…); - for NDJSON on stdout.",
        ),
    ] = "hqsam_out",
    null: NullOption = False,
    dry_run: DryRunOption = False,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Segment images: instance masks from boxes, points, coarse masks or a detector, or without prompts.

    Writes ./hqsam_out/instances.json (COCO) and ./hqsam_out/masks/<image path>/<annotation id>.png.
    Run the same command again to continue an interrupted run.
    """
    from ..batch.segment import prepare_segment

    reporter = ConsoleReporter(quiet=quiet, verbose=verbose)
    run = prepare_segment(
        inputs, output, config, reporter, stdin=sys.stdin.buffer, null_separated=null, may_fetch=not dry_run
    )
    run_and_exit(run, reporter, dry_run=dry_run, model=config.model)
