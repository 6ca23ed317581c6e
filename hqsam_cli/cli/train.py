"""`hqsam train`: HQ modules on a frozen SAM, and the paper's ablations."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..errors import UsageError
from ..training.ablations import AblationScores
from ..training.config import Augmentation, Fusion, Init, Learn, Schedule, Table, TrainConfig, Trained, Variant
from .console import ConsoleReporter, print_table
from .declare import config_of, options_of
from .options import DEFAULT_MODEL, MODEL_VARIABLE, DeviceOption, DrawnExifOption, DryRunOption

EPILOG = """
[bold]Examples[/bold]

hqsam train --model sam_vit_b_01ec64.pth --hqseg ./train/data --val ./photos

hqsam train --model lite --data ./ours:3 --data ./theirs --val ./held_back --epochs 12

hqsam train --model sam_vit_b_01ec64.pth --data ./ours --val ./held_back --table fusion

torchrun --nproc-per-node 8 --no-python hqsam train --model sam_vit_l_0b3195.pth --hqseg ./train/data
"""
_data, _training, _ablation = map(options_of, ("Data", "Training", "Ablations"))
_count = {"metavar": "N", "min": 1}
BASE = "The base: a name, or a SAM, MobileSAM or HQ-SAM checkpoint."
DATA = (
    "images/ and masks/, im/ and gt/, or .jpg and .png files. Repeatable; WEIGHT: how often a pair is seen per epoch."
)
CACHE = "Encode N augmented images once, into DIR/cache, 3.5 MB each, and reuse them; 0: encode a new one every time."
KEEP_SAM = "Weight of a distillation loss that keeps the masks of other objects as SAM's."
SCHEDULE = "Divide the learning rate by ten (--lr-step), or decay it linearly to zero after a warm-up."


def train(
    model: Annotated[str, typer.Option(metavar="NAME|PATH", envvar=MODEL_VARIABLE, help=BASE)] = DEFAULT_MODEL,
    data: Annotated[list[str] | None, _data(DATA, metavar="FOLDER[:WEIGHT]")] = None,
    hqseg: Annotated[Path | None, _data("HQSeg-44K in its authors' layout, all seven sets.", metavar="ROOT")] = None,
    val: Annotated[list[Path] | None, _data("Validate on it after each epoch. Repeatable.", metavar="FOLDER")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Results.")] = Path("hqsam_train"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start again instead of continuing.")] = False,
    epochs: Annotated[int, _training("Number of epochs.", **_count)] = 12,
    batch_size: Annotated[int, _training("Images per step of each process.", **_count)] = 4,
    lr: Annotated[float, _training("Learning rate of Adam.", metavar="X")] = 1e-3,
    lr_step: Annotated[int, _training("Epochs after which the learning rate is divided by ten.", **_count)] = 10,
    strict: Annotated[bool, _data("Exit code 3 if an image has no mask, or a mask no image.", "--strict")] = False,
    exif: DrawnExifOption = "apply",
    image_size: Annotated[int | None, _training("Input size; by default the base's.", metavar="S", min=64)] = None,
    fresh: Annotated[bool, _training("New HQ modules even if the base has some.", "--fresh")] = False,
    init: Annotated[
        Init, _training("Initialize new HQ modules at random, or such that their masks are SAM's.")
    ] = "random",
    mask_output: Annotated[
        Trained, _training("Masks of the loss: HQ, their sum with SAM's, or the mean of both.")
    ] = "hq",
    augmentation: Annotated[
        Augmentation, _training("HQ-SAM's, or a stronger one for a few thousand images.")
    ] = "paper",
    prompts: Annotated[int, _training("Prompts per image.", **_count)] = 1,
    keep_sam: Annotated[float, _training(KEEP_SAM, metavar="WEIGHT", min=0)] = 0.0,
    cache: Annotated[int, _training(CACHE, metavar="N", min=0)] = 0,
    lr_schedule: Annotated[Schedule, _training(SCHEDULE)] = "step",
    ema_decay: Annotated[
        float | None, _training("Decay of an exponential moving average of the weights.", metavar="X", min=0, max=1)
    ] = None,
    max_grad_norm: Annotated[float | None, _training("Clip the norm of the gradient.", metavar="X", min=0)] = None,
    device: DeviceOption = "auto",
    dtype: Annotated[str, _training("Precision of the forward pass.", metavar="auto|float32|bfloat16")] = "auto",
    workers: Annotated[int, _training("Processes that load data.", metavar="N", min=0)] = 4,
    seed: Annotated[int, _training("Random seed.", metavar="N", min=0)] = 42,
    checkpoint_steps: Annotated[int, _training("Steps between checkpoints.", **_count)] = 200,
    variant: Annotated[Variant, _ablation("Another output token, or another loss.")] = "full",
    fusion: Annotated[Fusion, _ablation("Other sources of the HQ features.")] = "full",
    learn: Annotated[Learn, _ablation("Train a part of SAM instead of the HQ modules.")] = "hq",
    table: Annotated[Table | None, _ablation("Train all rows of a table of the paper, and print it.")] = None,
    dry_run: DryRunOption = False,
    json_output: Annotated[bool, typer.Option("--json", help="The result on stdout as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")] = False,
) -> None:
    """Train the HQ token and its features on a frozen SAM, as in the paper.

    DIR gets hqsam.safetensors, which --model of segment takes, hq_only.safetensors, a few MB, metrics.jsonl and
    metrics.png. The same command again continues where it stopped.
    """
    config = config_of(TrainConfig, locals(), variant=variant if fusion == "full" else f"fusion-{fusion}")
    reporter = ConsoleReporter(quiet=quiet or os.environ.get("RANK", "0") != "0")
    if variant != "full" and fusion != "full":
        raise UsageError("--variant, --fusion, --learn and --table are one ablation each", remedy="pass one of them")

    from ..training.train import train as run

    try:
        result = run(
            config,
            data or (),
            output,
            hqseg=hqseg,
            val=val or (),
            model=model,
            device=device,
            workers=workers,
            checkpoint_steps=checkpoint_steps,
            table=table,
            overwrite=overwrite,
            dry_run=dry_run,
            progress=reporter,
        )
    except KeyboardInterrupt:
        reporter.say("interrupted: the same command continues")
        raise
    finally:
        reporter.close()
    if dry_run and result.plan is not None:
        counts = {**result.plan._asdict(), "left": result.plan.steps - result.plan.done}
        print_table((), [*((k, str(n)) for k, n in counts.items()), ("model", model), ("output", str(output))])
    if dry_run or not result.is_main:
        return
    if result.skipped:
        reporter.say(f"{len(result.skipped)} pairs could not be used and were skipped", "yellow")
    for path in result.files:
        reporter.say(f"wrote {path}", "green")
    if result.best is not None and json_output:
        own = {"skipped": len(result.skipped), "images_per_second": result.images_per_second}
        typer.echo(json.dumps(result.best.to_dict() | own))
    if table is not None:
        _print_table(table, result.table, json_output)
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
