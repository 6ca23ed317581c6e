"""`hqsam train`: HQ modules on a frozen SAM, and the paper's ablations."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..configs import TrainConfig
from ..configs.run import ABLATIONS, DATA, RESULTS
from ..errors import UsageError
from ..training.ablations import AblationScores
from .console import print_table
from .from_config import with_options
from .options import DryRunOption, QuietOption
from .reporter import ConsoleReporter

Fusion = Literal["none", "decoder", "early", "final", "full"]  # of the paper's table 3

EPILOG = """
[bold]Examples[/bold]

hqsam train --model sam_vit_b_01ec64.pth --hqseg ./train/data --val ./photos

hqsam train --model lite --data ./ours:3 --data ./theirs --val ./held_back --epochs 12

hqsam train --model sam_vit_b_01ec64.pth --data ./ours --val ./held_back --table fusion

torchrun --nproc-per-node 8 --no-python hqsam train --model sam_vit_l_0b3195.pth --hqseg ./train/data
"""


@with_options
def train(
    *,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER[:WEIGHT]",
            rich_help_panel=DATA,
            help="Training set: a folder with images/ and masks/, im/ and gt/, or .jpg and .png files; repeatable. "
            "WEIGHT: how many times each pair is used per epoch.",
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", rich_help_panel=DATA, help="Exit with code 3 if any image has no mask, or any mask no image."
        ),
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", rich_help_panel=RESULTS, help="Output folder.")
    ] = Path("hqsam_train"),
    config: TrainConfig,
    fusion: Annotated[Fusion, typer.Option(rich_help_panel=ABLATIONS, help="Sources of the HQ features.")] = "full",
    dry_run: DryRunOption = False,
    json_output: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Train the HQ token and its features on a frozen SAM, as in the paper.

    Writes DIR/hqsam.safetensors (for --model), hq_only.safetensors (a few MB), metrics.jsonl and metrics.png.
    Run the same command again to continue an interrupted run.
    """
    reporter = ConsoleReporter(quiet=quiet or os.environ.get("RANK", "0") != "0")
    if fusion != "full":
        if config.variant != "full":
            raise UsageError("`variant` and `fusion` are one ablation each", remedy="pass one of them")
        config = replace(config, variant=f"fusion-{fusion}")

    from ..training.train import train as run

    try:
        result = run(data or (), output, config, dry_run=dry_run, progress=reporter)
    except KeyboardInterrupt:
        reporter.say("interrupted: run the same command again to continue")
        raise
    finally:
        reporter.close()
    if dry_run and result.plan is not None:
        counts = {**result.plan._asdict(), "left": result.plan.steps - result.plan.done}
        rows = [(name, str(count)) for name, count in counts.items()]
        print_table((), [*rows, ("model", config.model), ("output", str(output))])
    if dry_run or not result.is_main:
        return
    if result.skipped:
        reporter.say(f"{len(result.skipped)} pairs could not be used and were skipped", "yellow")
    for path in result.files:
        reporter.say(f"wrote {path}", "green")
    if result.best is not None and json_output:
        own = {"skipped": len(result.skipped), "images_per_second": result.images_per_second}
        typer.echo(json.dumps(result.best.to_dict() | own))
    if config.table is not None:
        _print_table(config.table, result.table, json_output)
    failed = result.skipped or (strict and any(own.problems() for own in result.sets))
    raise typer.Exit(3 if failed and "WORLD_SIZE" not in os.environ else 0)  # torchrun takes others than 0 for a crash


def _print_table(name: str, rows: Sequence[AblationScores], as_json: bool) -> None:
    """An ablation table with the paper's figures."""
    if as_json:
        typer.echo(json.dumps({"table": name, "rows": [asdict(row) for row in rows]}))
        return
    typer.echo(f"{name}; paper: ViT-L, mean of DIS, COIFT, HRSOD and ThinObject", err=True)
    cells = []
    for row in rows:
        scores = ["–" if s is None else f"{s:.1f}" for s in (row.miou, row.mbiou, row.paper_miou, row.paper_mbiou)]
        cells.append([row.title, *scores, str(row.epoch or "–")])
    print_table(("", "mIoU", "mBIoU", "paper mIoU", "paper mBIoU", "epoch"), cells)
