"""HQ-SAM's training from its files to its results: a few new modules on a frozen SAM (HQ-SAM, section 4.1).

Adam at 1e-3, divided by ten after ten epochs, 12 epochs, batches of 4 on each of 8 GPUs. The loss compares the HQ
logits, at a quarter of the input size, with masks at the input size.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch

from .. import __version__
from ..batch.interrupt import Interrupt
from ..compute import resolve_compute
from ..configs import VERSION, MaskOutput, digest, identity
from ..data.pairs import ImageMaskFolder, check_readable, find_pairs
from ..data.sets import hqseg_folders
from ..errors import UsageError
from ..modeling.sam import HQSam
from ..progress import Progress, Silent
from ..weights.checkpoints import file_hash, find_checkpoint, infer_architecture, load_checkpoint, read_state
from ..weights.conversion import HQ_KEY
from ..weights.hub import local_path
from ..weights.registry import ARCHITECTURES
from .ablations import BASELINE, TABLES, AblationScores
from .config import TrainConfig
from .criterion import Criterion
from .data import AugmentedPairs, Samples
from .distributed import World, join_world
from .encoding_cache import EncodingCache
from .history import Epoch, History, mean_scores
from .plot import save_plot
from .saving import cannot_save, save_merged, save_tensors
from .trainer import METRICS, STATE, Trainer, read_run
from .validate import validate
from .variants import prepare

CHECKPOINT = "hqsam.safetensors"
HQ_ONLY, LEARNED_ONLY = "hq_only.safetensors", "learned.safetensors"
PLOT, CACHE = "metrics.png", "cache"
RESULTS = (CHECKPOINT, HQ_ONLY, LEARNED_ONLY, PLOT)
CACHE_FORMAT = 2
STRIDE = 32  # the input size is a multiple of it


class Plan(NamedTuple):
    """What a run would do: number of pairs, steps of all epochs, and steps that are done."""

    pairs: int
    steps: int
    done: int


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a training ended.

    Attributes:
        plan: what was to do.
        sets: data sets of training and validation.
        best: the best epoch, None of a dry run or a table.
        skipped: problems with files.
        files: what was written.
        table: rows of an ablation table.
        is_main: whether this process is the main one of `torchrun`; others have no results.
    """

    plan: Plan | None = None
    sets: list[ImageMaskFolder] = field(default_factory=list)
    best: Epoch | None = None
    skipped: list[str] = field(default_factory=list)
    images_per_second: float = 0.0
    files: list[Path] = field(default_factory=list)
    table: list[AblationScores] = field(default_factory=list)
    is_main: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRun:
    """A run: its config, its files and its progress.

    Attributes:
        base: checkpoint whose SAM is frozen.
        val: without validation sets the last epoch counts as the best.
        output: folder of the results; a run that is there is continued.
        command: for the metadata.
        scores_base: also validate the base.
        stop: whether to save and raise KeyboardInterrupt.
    """

    config: TrainConfig
    base: Path
    data: list[ImageMaskFolder]
    val: list[ImageMaskFolder]
    output: Path
    workers: int = 4
    checkpoint_steps: int = 200
    command: str = ""
    scores_base: bool = True
    progress: Progress = field(default_factory=Silent)
    stop: Callable[[], bool] = lambda: False

    @property
    def mask_output(self) -> MaskOutput:
        """What is validated."""
        if self.config.learn != "hq":
            return "sam"
        return "hq" if self.config.mask_output == "hq" else "sum"

    @property
    def learned_file(self) -> Path:
        """The best learned tensors."""
        return self.output / (HQ_ONLY if self.config.learn == "hq" else LEARNED_ONLY)

    def identity(self) -> dict[str, str]:
        """What the weights depend on; the number of epochs may grow if the learning rate does not depend on it."""
        known = identity(
            self.config, model=file_hash(self.base)[:16], data=_sets_digest(self.data), val=_sets_digest(self.val)
        )
        if self.config.lr_schedule == "step":
            del known["epochs"]
        return known

    def cache_folder(self) -> Path:
        """The folder of encoded images of this base, data and augmentation."""
        known = self.identity()
        keys = (VERSION, "model", "data", "batch_size", "image_size", "dtype", "seed", "augmentation")
        key = digest(CACHE_FORMAT, *(known.get(key) for key in keys), self.config.keep_sam > 0)
        return self.output / CACHE / key


def train(
    config: TrainConfig,
    data: Sequence[str],
    output: Path,
    *,
    hqseg: Path | None = None,
    val: Sequence[Path] = (),
    model: str = "lite",
    device: str = "auto",
    workers: int = 4,
    checkpoint_steps: int = 200,
    table: str | None = None,
    overwrite: bool = False,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Train HQ modules to the end, or continue; every process of `torchrun` calls this.

    Args:
        data: folders of images and masks, as FOLDER or FOLDER:WEIGHT.
        output: gets `hqsam.safetensors`, the base with the learned tensors of the best epoch, `hq_only.safetensors`,
            those alone, `metrics.jsonl`, `metrics.png`, and `train.pt` to continue from.
        hqseg: root of HQSeg-44K, as more data.
        val: folders to validate on after each epoch.
        model: the base, a name or a checkpoint.
        table: train all rows of one of `ablations.TABLES`.
        overwrite: start again.
        dry_run: only plan.

    Raises:
        HqsamError: data cannot be used, an output cannot be written, or the run in the folder is another one.
        KeyboardInterrupt: SIGINT or SIGTERM; the run is saved.
    """
    progress = progress or Silent()
    check_options(config, table=table, validates=bool(val), starts=bool(data) or hqseg is not None)
    if dry_run and (table is not None or overwrite):
        remedy = "leave `table` and `overwrite` out"
        raise UsageError("plans one run, new or continued", option="dry_run", remedy=remedy)
    compute = resolve_compute(device, config.dtype)
    if compute.dtype_name == "float16":
        raise UsageError("`dtype` float16: gradients would underflow", remedy="use bfloat16 or float32")
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    interrupt = Interrupt()
    train_sets, val_sets = find_data(data, hqseg, val, config, progress)
    run = TrainRun(
        config=replace(config, batch_size=config.batch_size * processes, dtype=compute.dtype_name),
        base=local_path(model) if dry_run else find_checkpoint(model, progress.say),
        data=train_sets,
        val=val_sets,
        output=output,
        workers=min(workers, os.cpu_count() or 1),
        checkpoint_steps=checkpoint_steps,
        command=shlex.join(["hqsam", *sys.argv[1:]]),
        progress=progress,
        stop=lambda: interrupt.wanted,
    )
    planned = plan(run) if table is None and not overwrite else None
    if dry_run:
        return TrainResult(planned, [*train_sets, *val_sets])
    # Single processes of a world cannot stop; after they are killed, the last save is continued.
    with join_world(compute.device) as world, interrupt if processes == 1 else nullcontext():
        if overwrite and world.is_main:
            for folder in [output] if table is None else [output / row.name for row in TABLES[table]]:
                (folder / STATE).unlink(missing_ok=True)
                (folder / METRICS).unlink(missing_ok=True)
        world.wait()
        progress.say(f"base {model} on {world.size} x {compute.device} in {compute.dtype_name}")
        result = train_run(run, world) if table is None else train_table(table, run, world)
    return replace(result, plan=planned, sets=[*train_sets, *val_sets], is_main=world.is_main)


def check_options(config: TrainConfig, *, table: str | None, validates: bool, starts: bool) -> None:
    """Raise a UsageError for options that exclude each other."""
    if not 0 < config.lr < float("inf"):
        raise UsageError("must be over 0", option="lr", value=config.lr)
    if not starts:
        raise UsageError("there is no training data", remedy="pass `data` FOLDER, or `hqseg` ROOT")
    if sum([config.variant != "full", config.learn != "hq", table is not None]) > 1:
        raise UsageError("`variant`, `fusion`, `learn` and `table` are one ablation each", remedy="pass one of them")
    if config.cache and config.learn == "all":
        raise UsageError("the encoder is trained, so its features change", option="cache", remedy="leave it out")
    if table is not None and not validates:
        raise UsageError("`table` compares scores", remedy="pass `val` FOLDER")


def find_data(
    data: Sequence[str], hqseg: Path | None, val: Sequence[Path], config: TrainConfig, progress: Progress
) -> tuple[list[ImageMaskFolder], list[ImageMaskFolder]]:
    """The data sets of training and of validation; what is left out of them is said."""
    sets = [find_pairs(folder, weight, config.exif) for folder, weight in map(_folder_and_weight, data)]
    if hqseg is not None:
        found, missing = hqseg_folders(hqseg, config.exif)
        sets += found
        for folder in missing:
            progress.on_problem(f"HQSeg-44K is incomplete: nothing in {folder}")
    for own in sets:
        progress.say(f"{own.name}: {len(own.pairs)} pairs, weight {own.weight:g}")
    val_sets = [find_pairs(folder, exif=config.exif) for folder in val]
    for text in (text for own in [*sets, *val_sets] for text in own.problems()):
        progress.on_problem(text)
    for own in val_sets:
        check_readable(own)
    return sets, val_sets


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


def plan(run: TrainRun) -> Plan:
    """What a run would do, before any model is loaded.

    Raises:
        UsageError: the run in the folder is another one, or its files are of no run.
        HqsamError: there are too few pairs, or the state of the run is damaged.
    """
    config, state = run.config, run.output / STATE
    pairs = AugmentedPairs(run.data, STRIDE, config.batch_size, config.seed, config.augmentation)
    done = History.from_dict(read_run(state, run.identity())).step if state.exists() else 0
    there = [] if state.exists() else [path for name in RESULTS if (path := run.output / name).is_file()]
    if there:
        raise UsageError(
            "exists, and is of no run in this folder",
            file=there[0],
            remedy="pass `overwrite` to replace it, or choose another `output`",
        )
    return Plan(len(pairs.pairs), config.epochs * pairs.steps_per_epoch, done)


def prepare_model(run: TrainRun, device: torch.device) -> HQSam:
    """The model to train, on its device, in evaluation mode, which keeps the statistics of SAM's batch norms.

    Raises:
        UsageError: the base cannot work at `image_size`.
    """
    config, model = run.config, load_checkpoint(run.base)
    size = config.image_size or model.image_size
    fixed = ARCHITECTURES[infer_architecture(model.state_dict()) or ""].fixed_size
    if size % STRIDE or (fixed and size != model.image_size):
        wanted = f"is trained at {model.image_size}" if fixed else f"needs a multiple of {STRIDE}"
        raise UsageError(f"{run.base} {wanted}", option="image_size", value=size)
    model.image_size = model.prompt_encoder.image_size = size
    prepare(model, config)
    return model.to(device).to(memory_format=torch.channels_last).eval()


def train_run(run: TrainRun, world: World) -> TrainResult:
    """Train one run; see `train`."""
    config, progress = run.config, run.progress
    try:
        run.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_save(run.output, error) from None
    model = prepare_model(run, world.device)
    pairs = AugmentedPairs(run.data, model.image_size, config.batch_size, config.seed, config.augmentation)
    cache = EncodingCache(run.cache_folder(), config.cache) if config.cache else None
    trainer = Trainer(
        model,
        world.wrap(Criterion(model, config, cache), all_used=config.learn == "hq"),
        Samples(pairs, config.seed, config.prompts, cache),
        config,
        pairs.steps_per_epoch,
        identity=run.identity(),
        folder=run.output,
        world=world,
        progress=progress,
        stop=run.stop,
        workers=run.workers,
        checkpoint_steps=run.checkpoint_steps,
    )
    history = trainer.history
    history.command = history.command or run.command
    count = sum(p.numel() for p in trainer.learned.values())
    course = f"{config.epochs} epochs of {pairs.steps_per_epoch} steps"
    progress.say(f"{count:,} trainable parameters, {len(pairs.pairs)} pairs, {course}")
    if history.step < trainer.steps:
        progress.on_start(trainer.steps, history.step, unit="step")
    if run.val and run.scores_base and history.step == 0 and world.is_main:
        history.base = _score_base(run, model)
    for epoch in range(len(history.epochs), config.epochs):
        trainer.run((epoch + 1) * pairs.steps_per_epoch)
        _end_epoch(run, trainer, epoch + 1)
    best = _best(history)
    _report_best(best, history.base, progress)
    files = [run.learned_file, run.output / PLOT]
    if config.variant == "full":  # no other command loads an ablated decoder
        files.insert(0, run.output / CHECKPOINT)
        if world.is_main:
            save_merged(files[0], run.base, *read_state(run.learned_file))
    skipped = sorted(history.skipped)
    return TrainResult(best=best, skipped=skipped, images_per_second=trainer.images_per_second, files=files)


def train_table(name: str, run: TrainRun, world: World) -> TrainResult:
    """Train the rows of an ablation table, each in a folder below the output, with new HQ modules."""
    rows = []
    skipped: set[str] = set()
    for row in TABLES[name]:
        # SAM's own masks are those of a model whose output token is trained for no step.
        config = replace(
            run.config, learn="token" if row.name == BASELINE else row.learn, variant=row.variant, fresh=True
        )
        own = replace(run, config=config, output=run.output / row.name, scores_base=False)
        run.progress.say(f"table {name}: {row.title}")
        miou, mbiou, epoch = None, None, None
        if row.name != BASELINE:
            result = train_run(own, world)
            skipped.update(result.skipped)
            if result.best is not None and result.best.scores is not None:
                (miou, mbiou, _), epoch = result.best.scores, result.best.epoch
        elif world.is_main:
            scores, _ = validate(prepare_model(own, world.device), run.val, mask_output="sam", dtype=config.dtype)
            miou, mbiou, _ = mean_scores(scores)
        rows.append(AblationScores(row.name, row.title, miou, mbiou, epoch, *row.paper))
    return TrainResult(skipped=sorted(skipped), table=rows)


def _score_base(run: TrainRun, model: HQSam) -> dict[str, float]:
    """Scores of the base: of its own masks of the kind that is trained, or of SAM's if it has none."""
    has_own = not run.config.fresh and HQ_KEY in read_state(run.base)[0]
    output: MaskOutput = run.mask_output if has_own else "sam"
    scores, _ = validate(model, run.val, mask_output=output, dtype=run.config.dtype)
    mean = mean_scores(scores)
    run.progress.say(f"the base, {output}: mIoU {mean.miou:.2f}, mBIoU {mean.mbiou:.2f}")
    return {"miou": mean.miou, "mbiou": mean.mbiou}


def _best(history: History) -> Epoch:
    return max(history.epochs, key=lambda epoch: epoch.validation_score)


def _report_best(best: Epoch, base: dict[str, float] | None, progress: Progress) -> None:
    """Say which epoch was kept, and whether it is better than the base."""
    if best.scores is None:
        progress.say(f"kept epoch {best.epoch}, the last, since there is no `val`")
        return
    progress.say(f"kept epoch {best.epoch}: mIoU {best.scores.miou:.2f}, mBIoU {best.scores.mbiou:.2f}")
    if base is not None and best.validation_score < base["miou"] + base["mbiou"]:
        progress.on_problem(
            f"the result is worse than the base ({base['miou']:.2f}, {base['mbiou']:.2f}): "
            "use the base, or train longer, on more images like those of `val`, or with a lower `lr`"
        )


def _end_epoch(run: TrainRun, trainer: Trainer, number: int) -> None:
    """Validate, save the learned tensors if they are the best so far, and the state of the run."""
    history = trainer.history
    epoch = Epoch(number, history.step)
    if run.val and trainer.world.is_main:
        with trainer.averaged():
            scores, problems = validate(trainer.model, run.val, mask_output=run.mask_output, dtype=run.config.dtype)
        trainer.note_problems(problems)
        epoch, mean = replace(epoch, sets=scores), mean_scores(scores)
        given = sum(len(folder.pairs) for folder in run.val)
        run.progress.say(
            f"epoch {number} of {run.config.epochs}: mIoU {mean.miou:.2f}, mBIoU {mean.mbiou:.2f} "
            f"on {mean.images} of {given} images"
        )
    history.epochs.append(epoch)
    if trainer.world.is_main:
        if epoch is _best(history):
            save_tensors(run.learned_file, trainer.result, _metadata(run, trainer, epoch))
        trainer.save()
        trainer.write_metrics(epoch.to_dict())
        save_plot(trainer.metrics, history.epochs, run.output / PLOT)


def _metadata(run: TrainRun, trainer: Trainer, epoch: Epoch) -> dict[str, str]:
    """What loading the weights needs, and how they were trained."""
    return {
        "architecture": str(infer_architecture(trainer.model.state_dict())),
        "image_size": str(trainer.model.image_size),
        "learned": run.config.learn,
        "base_sha256": file_hash(run.base),
        "data": ", ".join(f"{folder.name} ({len(folder.pairs)} x {folder.weight:g})" for folder in run.data),
        "command": run.command,
        "result": json.dumps(epoch.to_dict()),
        "images_per_second": f"{trainer.images_per_second:.2f}",
        "version": __version__,
    }


def _sets_digest(folders: list[ImageMaskFolder]) -> str:
    """A hash of the file names and weights of data sets."""
    return digest(*([folder.weight, *(pair.image.name for pair in folder.pairs)] for folder in folders))
