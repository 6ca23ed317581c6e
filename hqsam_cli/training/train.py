"""Entry point of training: `train` reads the data, plans the run, and runs it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from os import PathLike
from pathlib import Path

from ..batch.interrupt import Interrupt
from ..configs import TrainConfig
from ..data.pairs import ImageMaskFolder, check_readable, equal_images, find_pairs
from ..data.sets import hqseg_folders
from ..errors import UsageError
from ..inference.device import resolve_compute
from ..progress import SILENT, Progress
from ..weights.hub import find_checkpoint, local_path
from .ablations import TABLES
from .data import steps_per_epoch
from .distributed import join_world
from .history import History
from .run import RESULTS, TrainPlan, TrainResult, TrainRun, train_run, train_table
from .trainer import METRICS, STATE, read_run
from .variants import VARIANTS


def train(
    data: Sequence[str | PathLike[str]],
    output: str | PathLike[str],
    config: TrainConfig | None = None,
    *,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> TrainResult:
    """Train HQ modules, or resume training; called in every process of `torchrun`.

    Args:
        data: folders of images and masks, as FOLDER or FOLDER:WEIGHT.
        output: folder for `hqsam.safetensors` (base model with the trained tensors of the best epoch),
            `hq_only.safetensors` (only these tensors), `metrics.jsonl`, `metrics.png`, and `train.pt` to resume from.
        dry_run: only return the plan.

    Raises:
        HqsamError: the data is unusable, an output cannot be written, or the folder contains another run.
        KeyboardInterrupt: on SIGINT or SIGTERM; the run is saved.
    """
    config, output = config or TrainConfig(), Path(output)
    check_options(config, data)
    table, overwrite = config.table, config.overwrite
    if dry_run and (table is not None or overwrite):
        raise UsageError("cannot be combined with `table` or `overwrite`", option="dry_run", remedy="omit them")
    compute = resolve_compute(config.device, config.dtype)
    if compute.dtype_name == "float16":
        raise UsageError("`dtype` float16: gradients would underflow", remedy="use bfloat16 or float32")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    interrupt = Interrupt()
    train_sets, val_sets = find_data(data, config, progress)
    run = TrainRun(
        config=replace(config, batch_size=config.batch_size * processes, dtype=compute.dtype_name),
        base=local_path(config.model) if dry_run else find_checkpoint(config.model, progress.say),
        data=train_sets,
        val=val_sets,
        output=output,
        command=shlex.join(["hqsam", *sys.argv[1:]]),
        progress=progress,
        stop=lambda: interrupt.wanted,
    )
    planned = plan(run) if table is None and not overwrite else None
    if dry_run:
        return TrainResult(planned, [*train_sets, *val_sets])
    # One process of a world cannot stop alone; if killed, training resumes from the last save.
    with join_world(compute.device) as world, interrupt if processes == 1 else nullcontext():
        if overwrite and world.is_main:
            for folder in [output] if table is None else [output / row.name for row in TABLES[table]]:
                (folder / STATE).unlink(missing_ok=True)
                (folder / METRICS).unlink(missing_ok=True)
        world.wait()
        progress.say(f"base {config.model} on {world.size} x {compute.name} in {compute.dtype_name}")
        result = train_run(run, world) if table is None else train_table(table, run, world)
    return replace(result, plan=planned, sets=[*train_sets, *val_sets], is_main=world.is_main)


def check_options(config: TrainConfig, data: Sequence[object]) -> None:
    """Raise a UsageError for conflicting options."""
    if not 0 < config.lr < float("inf"):
        raise UsageError("must be over 0", option="lr", value=config.lr)
    if not data and config.hqseg is None:
        raise UsageError("there is no training data", remedy="pass `data` FOLDER, or `hqseg` ROOT")
    if config.variant not in VARIANTS:
        raise UsageError(f"use {', '.join(VARIANTS)}", option="variant", value=config.variant)
    if sum([config.variant != "full", config.learn != "hq", config.table is not None]) > 1:
        raise UsageError("`variant`, `fusion`, `learn` and `table` are one ablation each", remedy="pass one of them")
    if config.cache and config.learn == "all":
        raise UsageError("the encoder is trained, so its features change", option="cache", remedy="omit it")
    if config.learn == "score":
        if config.mask_output == "hq":
            raise UsageError("`learn` score needs masks made with SAM's", remedy="pass `mask_output` auto or sum")
        if config.val:
            raise UsageError("`learn` score does not change masks", option="val", remedy="omit it, and run hqsam eval")
    if config.table is not None and not config.val:
        raise UsageError("`table` compares scores", remedy="pass `val` FOLDER")


def find_data(
    data: Sequence[str | PathLike[str]], config: TrainConfig, progress: Progress
) -> tuple[list[ImageMaskFolder], list[ImageMaskFolder]]:
    """Find the training and validation datasets; skipped files are reported."""
    sets = [find_pairs(folder, weight, config.exif) for folder, weight in map(_folder_and_weight, map(str, data))]
    if config.hqseg is not None:
        found, missing = hqseg_folders(config.hqseg, config.exif)
        sets += found
        for folder in missing:
            progress.on_problem(f"HQSeg-44K is incomplete: nothing in {folder}")
    for own in sets:
        progress.say(f"{own.name}: {len(own.pairs)} pairs, weight {own.weight:g}")
    val_sets = [find_pairs(folder, exif=config.exif) for folder in config.val]
    for text in (text for own in [*sets, *val_sets] for text in own.problems()):
        progress.on_problem(text)
    images = [[pair.image for own in some for pair in own.pairs] for some in (sets, val_sets)]
    if text := equal_images(*images):
        progress.on_problem(text)
    for own in val_sets:
        check_readable(own)
    return sets, val_sets


def _folder_and_weight(text: str) -> tuple[Path, float]:
    """Parse `FOLDER:WEIGHT`, or a folder alone, whose name may contain a colon."""
    folder, _, tail = text.rpartition(":")
    try:
        weight = float(tail) if folder else 1.0
    except ValueError:
        return Path(text), 1.0
    if not 0 < weight <= 1000:
        raise UsageError("the weight must be over 0 and at most 1000", option="data", value=text)
    return Path(folder or text), weight


def plan(run: TrainRun) -> TrainPlan:
    """Plan a run before any model is loaded.

    Raises a UsageError if the folder contains another run or unrelated files; an HqsamError if there are too few pairs,
    or the run state is damaged.
    """
    config, state = run.config, run.output / STATE
    pairs, steps = sum(len(folder.pairs) for folder in run.data), steps_per_epoch(run.data, config.batch_size)
    done = History.from_dict(read_run(state, run.identity())).step if state.exists() else 0
    there = [] if state.exists() else [path for name in RESULTS if (path := run.output / name).is_file()]
    if there:
        remedy = "pass `overwrite` to replace it, or choose another `output`"
        raise UsageError("already exists, and was not written by a run in this folder", file=there[0], remedy=remedy)
    return TrainPlan(pairs, config.total_steps(steps), done)
