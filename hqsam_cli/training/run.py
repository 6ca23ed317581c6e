"""HQ-SAM's training from its files to its results: a few new modules on a frozen SAM (HQ-SAM, section 4.1).

Adam at 1e-3, a tenth of it from the eleventh epoch on, 12 epochs, batches of 4 on each of 8 GPUs. The loss is of
the HQ logits alone, at a quarter of the model's input size, against the mask at full resolution.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from .. import __version__
from ..configs import VERSION, MaskOutput, TrainConfig, digest, identity
from ..data.pairs import ImageMaskFolder
from ..errors import UsageError
from ..modeling.sam import HQSam
from ..progress import Progress
from ..weights.checkpoints import load_checkpoint, read_state
from ..weights.conversion import HQ_KEY
from ..weights.hub import file_hash
from ..weights.registry import ARCHITECTURES, infer_architecture
from .criterion import Criterion
from .data import AugmentedPairs, Samples
from .distributed import World
from .encoding_cache import EncodingCache
from .plot import save_plot
from .saving import cannot_save, save_merged, save_tensors
from .trainer import STATE, Trainer, read_run
from .validate import mean_scores, validate
from .variants import prepare

CHECKPOINT = "hqsam.safetensors"
HQ_ONLY, LEARNED_ONLY = "hq_only.safetensors", "learned.safetensors"
PLOT, CACHE = "metrics.png", "cache"
RESULTS = (CHECKPOINT, HQ_ONLY, LEARNED_ONLY, PLOT)
STRIDE = 32  # the model's input size must be a multiple


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRun:
    """What to train, on which files, and where.

    Attributes:
        base: checkpoint whose SAM is trained upon.
        data, val: sets to learn from and to validate on; without the latter the last weights count as the best.
        output: folder of the results; a run that is there is continued.
        command: what the user ran, for the metadata.
        scores_base: whether the base is validated before the first step.
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

    @property
    def mask_output(self) -> MaskOutput:
        """What is validated."""
        if self.config.learn != "hq":
            return "sam"
        return "hq" if self.config.mask_output == "hq" else "sum"

    @property
    def learned_file(self) -> Path:
        """Where the best learned tensors go."""
        return self.output / (HQ_ONLY if self.config.learn == "hq" else LEARNED_ONLY)

    def identity(self) -> dict[str, str]:
        """What the weights depend on; the number of epochs may grow, unless the learning rate falls to the last."""
        known = identity(
            self.config, model=file_hash(self.base)[:16], data=_sets_digest(self.data), val=_sets_digest(self.val)
        )
        if self.config.lr_schedule == "step":
            del known["epochs"]
        return known

    def cache_folder(self) -> Path:
        """Where encoded images lie: those of runs that encode others may lie beside them."""
        known = self.identity()
        keys = (VERSION, "model", "data", "batch_size", "image_size", "dtype", "seed", "augmentation")
        return self.output / CACHE / digest(*(known[key] for key in keys), self.config.keep_sam > 0)


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    Attributes:
        best: the best epoch, from 1, with its scores where there was validation (in the main process).
        skipped: problems with files.
        files: what was written for users.
    """

    best: dict[str, Any]
    skipped: list[str]
    images_per_second: float
    files: list[Path]


class Plan(NamedTuple):
    """What a run would do: pairs, steps of an epoch, steps in all, and those that were done before."""

    pairs: int
    epoch_steps: int
    steps: int
    done: int


def plan(run: TrainRun) -> Plan:
    """What `train` would do, or refuse, before any model is loaded.

    Raises:
        UsageError: the run in the folder is another one, or what lies there is of no run.
        HqsamError: there are too few pairs, or the state of the run is damaged.
    """
    config, state = run.config, run.output / STATE
    pairs = AugmentedPairs(run.data, STRIDE, config.batch_size, config.seed, config.augmentation)
    done = 0
    if state.exists():
        done = read_run(state, run.identity())["step"]
    else:
        there = [path for name in RESULTS if (path := run.output / name).is_file()]
        if there:
            raise UsageError(
                "is there, and no run of this folder wrote it",
                file=there[0],
                remedy="pass `overwrite` to replace it, or choose another `output`",
            )
    return Plan(len(pairs.pairs), pairs.steps_per_epoch, config.epochs * pairs.steps_per_epoch, done)


def prepare_model(run: TrainRun, device: torch.device) -> HQSam:
    """The base with what is to be learned, on its device, in evaluation mode: SAM's statistics stay as they are.

    Raises:
        UsageError: the base cannot work at `image_size`.
    """
    config, model = run.config, load_checkpoint(run.base)
    size = config.image_size or model.image_size
    fixed = ARCHITECTURES[infer_architecture(model.state_dict()) or ""].fixed_size
    if size % STRIDE or (fixed and size != model.image_size):
        wanted = f"is trained at {model.image_size}" if fixed else f"wants a multiple of {STRIDE}"
        raise UsageError(f"{run.base} {wanted}", option="image_size", value=size)
    model.image_size = model.prompt_encoder.image_size = size
    prepare(model, config)
    return model.to(device).to(memory_format=torch.channels_last).eval()


def train(run: TrainRun, world: World, progress: Progress, stop: Callable[[], bool] = lambda: False) -> Result:
    """Train to the end, or on from where a run was; every process of the world calls this.

    The folder of results gets `hqsam.safetensors`, the base with the best epoch's learned tensors,
    `hq_only.safetensors`, those alone, `metrics.jsonl`, `metrics.png`, and `train.pt` to continue from.

    Raises:
        HqsamError: an output cannot be written, or the run in the folder is another one.
        KeyboardInterrupt: `stop` said so; the run is saved.
    """
    config = run.config
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
        stop=stop,
        workers=run.workers,
        checkpoint_steps=run.checkpoint_steps,
    )
    count = sum(p.numel() for p in trainer.learned.values())
    course = f"{config.epochs} epochs of {pairs.steps_per_epoch} steps"
    progress.say(f"{count:,} parameters learn from {len(pairs.pairs)} pairs, {course}")
    trainer.notes.setdefault("command", run.command)
    if trainer.step < trainer.steps:
        progress.on_start(trainer.steps, trainer.step, unit="step")
    history = trainer.notes.setdefault("epochs", [])
    if run.val and run.scores_base and trainer.step == 0 and world.is_main:
        trainer.notes["base"] = _score_base(run, trainer)
    for epoch in range(len(history), config.epochs):
        trainer.run((epoch + 1) * pairs.steps_per_epoch)
        _close_epoch(run, trainer, epoch + 1)
    best = max(history, key=_merit)
    _say_best(best, trainer.notes.get("base"), progress)
    files = [run.learned_file, run.output / PLOT]
    # A decoder with parts left out is for comparing; no other command knows it.
    if config.variant == "full":
        files.insert(0, run.output / CHECKPOINT)
        if world.is_main:
            learned, metadata = read_state(run.learned_file)
            save_merged(files[0], run.base, learned, metadata)
    return Result(best, sorted(trainer.skipped), trainer.images_per_second, files)


def _score_base(run: TrainRun, trainer: Trainer) -> dict[str, float]:
    """How good the base is: its own masks of the kind that is trained, or SAM's where it has none."""
    old = not run.config.fresh and HQ_KEY in read_state(run.base)[0]
    output: MaskOutput = run.mask_output if old else "sam"
    scores, _ = validate(trainer.model, run.val, mask_output=output, dtype=run.config.dtype)
    mean = mean_scores(scores)
    trainer.progress.say(f"the base, {output}: mIoU {mean.miou:.2f}, mBIoU {mean.mbiou:.2f}")
    return {"miou": mean.miou, "mbiou": mean.mbiou}


def _say_best(best: dict[str, Any], base: dict[str, float] | None, progress: Progress) -> None:
    """Which epoch was kept, and whether it was worth it."""
    if "miou" not in best:
        progress.say(f"kept epoch {best['epoch']}, the last, for want of `val`")
        return
    progress.say(f"kept epoch {best['epoch']}: mIoU {best['miou']:.2f}, mBIoU {best['mbiou']:.2f}")
    if base is not None and _merit(best) < base["miou"] + base["mbiou"]:
        progress.on_problem(
            f"the result is worse than the base ({base['miou']:.2f}, {base['mbiou']:.2f}): "
            "use the base, or train longer, on more like the photos of `val`, or with a lower `lr`"
        )


def _close_epoch(run: TrainRun, trainer: Trainer, epoch: int) -> None:
    """Validate, keep the learned tensors if they are the best so far, and remember all that."""
    entry: dict[str, Any] = {"epoch": epoch, "step": trainer.step}
    history = trainer.notes["epochs"]
    history.append(entry)
    if not trainer.world.is_main:
        return
    if run.val:
        with trainer.averaged():
            scores, problems = validate(trainer.model, run.val, mask_output=run.mask_output, dtype=run.config.dtype)
        trainer.note_problems(problems)
        mean = mean_scores(scores)
        entry.update(miou=mean.miou, mbiou=mean.mbiou, sets={name: list(found) for name, found in scores.items()})
        given = sum(len(folder.pairs) for folder in run.val)
        trainer.progress.say(
            f"epoch {epoch} of {run.config.epochs}: mIoU {mean.miou:.2f}, mBIoU {mean.mbiou:.2f} "
            f"on {mean.images} of {given} images"
        )
    if entry is max(history, key=_merit):
        save_tensors(run.learned_file, trainer.result, _metadata(run, trainer, entry))
    trainer.save()
    trainer.write_metrics(entry)
    save_plot(trainer.metrics, history, run.output / PLOT)


def _merit(epoch: dict[str, Any]) -> float:
    """What the best epoch has most of; without validation the last is the best."""
    value: float = epoch["miou"] + epoch["mbiou"] if "miou" in epoch else epoch["epoch"]
    return value


def _metadata(run: TrainRun, trainer: Trainer, entry: dict[str, Any]) -> dict[str, str]:
    """What a loader must know, and how the weights came to be."""
    return {
        "architecture": str(infer_architecture(trainer.model.state_dict())),
        "image_size": str(trainer.model.image_size),
        "learned": run.config.learn,
        "base_sha256": file_hash(run.base),
        "data": ", ".join(f"{folder.name} ({len(folder.pairs)} x {folder.weight:g})" for folder in run.data),
        "command": run.command,
        "result": json.dumps(entry),
        "images_per_second": f"{trainer.images_per_second:.2f}",
        "version": __version__,
    }


def _sets_digest(folders: list[ImageMaskFolder]) -> str:
    """The file names and weights of sets, wherever they lie."""
    return digest(*([folder.weight, *(pair.image.name for pair in folder.pairs)] for folder in folders))
