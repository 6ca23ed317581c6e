"""`hqsam train`: the HQ token on a frozen SAM, and the paper's ablations."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ..configs import Augmentation, Exif, Init, Learn, Schedule, Trained
from ..errors import UsageError, redacted
from .console import ConsoleReporter, print_table
from .options import DEFAULT_MODEL, MODEL_VARIABLE, DeviceOption, DrawnExifOption, DryRunOption

if TYPE_CHECKING:
    from ..data.pairs import ImageMaskFolder


VariantName = Literal["full", "context", "token", "scaled", "boundary", "hq-context"]  # rows of the paper's table 2
FusionName = Literal["none", "decoder", "early", "final", "full"]  # of its table 3
TableName = Literal["tokens", "fusion", "strategies"]

EPILOG = """
[bold]Examples[/bold]

hqsam train --model sam_vit_b_01ec64.pth --hqseg ./train/data --val ./photos

hqsam train --model lite --data ./ours:3 --data ./theirs --val ./held_back --epochs 12

hqsam train --model sam_vit_b_01ec64.pth --data ./ours --val ./held_back --table fusion

torchrun --nproc-per-node 8 --no-python hqsam train --model sam_vit_l_0b3195.pth --hqseg ./train/data
"""

DATA, COURSE, ABLATION = "What to learn from", "How", "Ablations"


def train(
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH",
            envvar=MODEL_VARIABLE,
            help="The base: a SAM, MobileSAM or HQ-SAM checkpoint, or a name that --model of segment knows.",
        ),
    ] = DEFAULT_MODEL,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER[:WEIGHT]",
            rich_help_panel=DATA,
            help="Images with masks: images/ and masks/, im/ and gt/, or .jpg beside .png. Repeatable; "
            "WEIGHT is how often each pair comes in an epoch.",
        ),
    ] = None,
    hqseg: Annotated[
        Path | None,
        typer.Option(metavar="ROOT", rich_help_panel=DATA, help="HQSeg-44K in its authors' layout, all seven sets."),
    ] = None,
    val: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", rich_help_panel=DATA, help="Validated on after each epoch. Repeatable."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Results.")] = Path("hqsam_train"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start again instead of continuing.")] = False,
    epochs: Annotated[int, typer.Option(metavar="N", min=1, rich_help_panel=COURSE, help="Epochs.")] = 12,
    batch_size: Annotated[
        int, typer.Option(metavar="N", min=1, rich_help_panel=COURSE, help="Images a step of each process.")
    ] = 4,
    lr: Annotated[float, typer.Option(metavar="X", rich_help_panel=COURSE, help="Learning rate of Adam.")] = 1e-3,
    lr_step: Annotated[
        int, typer.Option(metavar="N", min=1, rich_help_panel=COURSE, help="Epochs until it falls to a tenth.")
    ] = 10,
    strict: Annotated[
        bool,
        typer.Option("--strict", rich_help_panel=DATA, help="Exit code 3 if an image has no mask, or a mask no image."),
    ] = False,
    exif: DrawnExifOption = "apply",
    image_size: Annotated[
        int | None,
        typer.Option(metavar="S", min=64, rich_help_panel=COURSE, help="Side of the model's square; the base's own."),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", rich_help_panel=COURSE, help="New HQ modules though the base has some.")
    ] = False,
    init: Annotated[
        Init,
        typer.Option(rich_help_panel=COURSE, help="How new HQ modules begin: at random, or with SAM's own mask."),
    ] = "random",
    mask_output: Annotated[
        Trained,
        typer.Option(
            rich_help_panel=COURSE, help="What the loss is of: the HQ mask, its sum with SAM's, or half each."
        ),
    ] = "hq",
    augmentation: Annotated[
        Augmentation,
        typer.Option(rich_help_panel=COURSE, help="HQ-SAM's, or a stronger one for a few thousand photos."),
    ] = "paper",
    prompts: Annotated[int, typer.Option(metavar="N", min=1, rich_help_panel=COURSE, help="Prompts an image.")] = 1,
    keep_sam: Annotated[
        float,
        typer.Option(
            metavar="WEIGHT",
            min=0,
            rich_help_panel=COURSE,
            help="Weight of a second loss: objects that SAM finds by itself are to stay as they are.",
        ),
    ] = 0.0,
    cache: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            rich_help_panel=COURSE,
            help="Encode N augmented images once, into DIR/cache, 3.5 MB each, and learn from these; 0: always new.",
        ),
    ] = 0,
    lr_schedule: Annotated[
        Schedule,
        typer.Option(rich_help_panel=COURSE, help="Falling in steps, or linearly to zero after a warm-up."),
    ] = "step",
    ema_decay: Annotated[
        float | None,
        typer.Option(metavar="X", min=0, max=1, rich_help_panel=COURSE, help="Keep a moving average of the weights."),
    ] = None,
    max_grad_norm: Annotated[
        float | None, typer.Option(metavar="X", min=0, rich_help_panel=COURSE, help="Clip the norm of the gradient.")
    ] = None,
    device: DeviceOption = "auto",
    dtype: Annotated[
        str,
        typer.Option(metavar="auto|float32|bfloat16", rich_help_panel=COURSE, help="Precision of the forward pass."),
    ] = "auto",
    workers: Annotated[
        int, typer.Option(metavar="N", min=0, rich_help_panel=COURSE, help="Processes that make samples.")
    ] = 4,
    seed: Annotated[int, typer.Option(metavar="N", min=0, rich_help_panel=COURSE, help="Random seed.")] = 42,
    checkpoint_steps: Annotated[
        int, typer.Option(metavar="N", min=1, rich_help_panel=COURSE, help="Steps between saves of the run's state.")
    ] = 200,
    variant: Annotated[
        VariantName, typer.Option(rich_help_panel=ABLATION, help="Another output token, or another loss.")
    ] = "full",
    fusion: Annotated[
        FusionName, typer.Option(rich_help_panel=ABLATION, help="Other sources of the HQ features.")
    ] = "full",
    learn: Annotated[
        Learn, typer.Option(rich_help_panel=ABLATION, help="Learn a part of SAM instead of the HQ modules.")
    ] = "hq",
    table: Annotated[
        TableName | None,
        typer.Option(rich_help_panel=ABLATION, help="Run all rows of one of the paper's tables, and print it."),
    ] = None,
    dry_run: DryRunOption = False,
    json_output: Annotated[bool, typer.Option("--json", help="The result on stdout as JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")] = False,
) -> None:
    """Train the HQ token and its features on a frozen SAM, as the paper does.

    DIR gets hqsam.safetensors, which --model of segment takes, hq_only.safetensors, a few MB, metrics.jsonl and
    metrics.png. The same command again continues where it stopped.
    """
    is_main = os.environ.get("RANK", "0") == "0"
    reporter = ConsoleReporter(quiet=quiet or not is_main)
    if not 0 < lr < math.inf:
        raise UsageError("must be over 0", option="lr", value=lr)
    if not data and hqseg is None:
        raise UsageError("nothing says what to learn from", remedy="pass --data FOLDER, or --hqseg ROOT")
    ablations = [variant != "full", fusion != "full", learn != "hq"]
    if sum([*ablations, table is not None]) > 1:
        raise UsageError("--variant, --fusion, --learn and --table are one ablation each", remedy="pass one of them")
    if cache and learn == "all":
        raise UsageError(
            "an encoder that learns cannot be asked once and for all", option="cache", remedy="leave it out"
        )
    if dry_run and (table is not None or overwrite):
        raise UsageError(
            "says what one run would do or continue", option="dry_run", remedy="leave --table and --overwrite out"
        )
    if table is not None and not val:
        raise UsageError("--table compares scores", remedy="pass --val FOLDER")

    from ..batch.interrupt import Interrupt
    from ..configs import TrainConfig
    from ..data.pairs import check_readable, find_pairs
    from ..inference.device import resolve_compute
    from ..training.distributed import join_world
    from ..training.run import TrainRun, plan
    from ..training.run import train as train_run
    from ..training.tables import TABLES, run_table
    from ..weights.hub import find_checkpoint, local_path

    compute = resolve_compute(device, dtype)
    if compute.dtype_name == "float16":
        raise UsageError("--dtype float16: gradients would vanish in it", remedy="use bfloat16 or float32")
    # Before the base, which may have to be fetched.
    sets = _training_sets(data or [], hqseg, exif, reporter)
    held_back = [find_pairs(folder, exif=exif) for folder in val or []]
    _say_missing(held_back, reporter)
    for own in held_back:
        check_readable(own)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    config = TrainConfig(
        epochs=epochs,
        batch_size=batch_size * processes,
        lr=lr,
        lr_step=lr_step,
        lr_schedule=lr_schedule,
        image_size=image_size,
        dtype=compute.dtype_name,
        seed=seed,
        fresh=fresh,
        init=init,
        mask_output=mask_output,
        augmentation=augmentation,
        prompts=prompts,
        keep_sam=keep_sam,
        cache=cache,
        ema_decay=ema_decay,
        max_grad_norm=max_grad_norm,
        learn=learn,
        exif=exif,
        variant=variant if fusion == "full" else f"fusion-{fusion}",
    )
    run = TrainRun(
        config=config,
        base=local_path(model) if dry_run else find_checkpoint(model, None if reporter.quiet else reporter.say),
        data=sets,
        val=held_back,
        output=output,
        workers=min(workers, os.cpu_count() or 1),
        checkpoint_steps=checkpoint_steps,
        command=redacted(shlex.join(["hqsam", *sys.argv[1:]])),
    )
    if table is None and not overwrite:
        planned = plan(run)
    if dry_run:
        counts = {"pairs": planned.pairs, "steps": planned.steps, "done": planned.done}
        counts["left"] = planned.steps - planned.done
        shown = [(name, str(count)) for name, count in counts.items()]
        print_table((), [*shown, ("model", model), ("output", str(output))])
        raise typer.Exit
    # Processes of a world cannot stop one by one; when they are killed, the last save is what they go on from.
    interrupt = Interrupt()
    alone = "WORLD_SIZE" not in os.environ
    try:
        with join_world(compute.device) as world, interrupt if alone else contextlib.nullcontext():
            if overwrite:
                if is_main:
                    rows_of = [] if table is None else TABLES[table]
                    for folder in [output / row.name for row in rows_of] or [output]:
                        _remove_run(folder)
                world.wait()
            reporter.say(f"base {model} on {world.size} x {compute.device} in {compute.dtype_name}")
            if table is not None:
                rows, skipped = run_table(table, run, world, reporter, lambda: interrupt.wanted)
            else:
                result = train_run(run, world, reporter, lambda: interrupt.wanted)
                skipped = result.skipped
    except KeyboardInterrupt:
        reporter.close()
        reporter.say("interrupted: the same command continues")
        raise
    reporter.close()
    if not is_main:
        return
    if skipped:
        reporter.say(f"{len(skipped)} pairs were of no use and were skipped", "yellow")
    if table is not None:
        _print_table(table, rows, json_output)
    else:
        for path in result.files:
            reporter.say(f"wrote {path}", "green")
        if json_output:
            best = {**result.best, "skipped": len(skipped), "images_per_second": result.images_per_second}
            typer.echo(json.dumps(best))
    lost = any(own.missing or own.idle or own.nested for own in [*sets, *held_back])
    # torchrun takes any other code than 0 for a crash.
    raise typer.Exit(3 if alone and (skipped or (strict and lost)) else 0)


def _training_sets(data: list[str], hqseg: Path | None, exif: Exif, reporter: ConsoleReporter) -> list[ImageMaskFolder]:
    """The sets of the command line; what is missing in them is said."""
    from ..data.pairs import find_pairs
    from ..data.sets import hqseg_folders

    sets = [find_pairs(folder, weight, exif) for folder, weight in map(_folder_and_weight, data)]
    if hqseg is not None:
        found, absent = hqseg_folders(hqseg, exif)
        sets += found
        for folder in absent:
            reporter.on_problem(f"HQSeg-44K is not whole: nothing in {folder}")
    for own in sets:
        reporter.say(f"{own.name}: {len(own.pairs)} pairs, weight {own.weight:g}")
    _say_missing(sets, reporter)
    return sets


def _say_missing(sets: list[ImageMaskFolder], reporter: ConsoleReporter) -> None:
    """Name the images that have no mask, and the masks that have no image."""
    for own in sets:
        if own.missing:
            reporter.on_problem(f"{own.name}: left out for want of a mask: {len(own.missing)}, first {own.missing[0]}")
        if own.nested:
            reporter.on_problem(f"{own.name}: in folders below, left out: {len(own.nested)}, first {own.nested[0]}")
        if own.idle:
            reporter.on_problem(f"{own.name}: masks of no image: {len(own.idle)}, first {own.idle[0]}")


def _folder_and_weight(text: str) -> tuple[Path, float]:
    """`FOLDER:WEIGHT`, or a folder alone, which may have a colon in its name."""
    folder, _, tail = text.rpartition(":")
    try:
        weight = float(tail) if folder else 1.0
    except ValueError:
        return Path(text), 1.0
    if not 0 < weight <= 1000:
        raise UsageError("the weight must be over 0 and at most 1000", option="data", value=text)
    return Path(folder or text), weight


def _remove_run(folder: Path) -> None:
    """Forget the run of a folder; its results stay until there are new ones."""
    for name in ("train.pt", "metrics.jsonl"):
        (folder / name).unlink(missing_ok=True)


def _print_table(name: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    """A table's rows beside the paper's."""
    if as_json:
        typer.echo(json.dumps({"table": name, "rows": rows}))
        return
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=f"{name}; paper: ViT-L, mean of DIS, COIFT, HRSOD and ThinObject", title_justify="left")
    shown.add_column("")
    for column in ("mIoU", "mBIoU", "epoch", "paper mIoU", "paper mBIoU"):
        shown.add_column(column, justify="right")
    for row in rows:
        scores = [row[key] for key in ("miou", "mbiou", "paper_miou", "paper_mbiou")]
        texts = ["–" if score is None else f"{score:.1f}" for score in scores]
        shown.add_row(row["title"], *texts[:2], str(row["epoch"] or "–"), *texts[2:])
    Console(width=max(100, shutil.get_terminal_size().columns)).print(shown)
