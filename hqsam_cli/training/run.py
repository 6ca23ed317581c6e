"""HQ-SAM training, from files to results: new modules on a frozen SAM (HQ-SAM, section 4.1).

Adam at 1e-3, divided by ten after ten epochs, 12 epochs, batches of 4 on each of 8 GPUs. The loss compares the HQ
logits, at a quarter of the input size, with ground truth at the input size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from .. import __version__
from ..configs import VERSION, MaskOutput, TrainConfig, digest, identity
from ..data.pairs import ImageMaskFolder
from ..errors import UsageError
from ..modeling.sam import HQSam
from ..progress import SILENT, Progress
from ..weights.checkpoints import load_checkpoint, read_state
from ..weights.conversion import HQ_KEY, is_hq
from ..weights.hub import file_hash
from ..weights.registry import ARCHITECTURES, infer_architecture
from .ablations import BASELINE, TABLES, AblationScores
from .criterion import Criterion
from .data import AugmentedPairs, Samples
from .distributed import World
from .encoding_cache import EncodingCache
from .history import Epoch, History, mean_scores
from .plot import save_plot
from .saving import cannot_save, save_merged, save_tensors
from .trainer import Trainer
from .validate import validate
from .variants import prepare

CHECKPOINT = "hqsam.safetensors"
HQ_ONLY, LEARNED_ONLY = "hq_only.safetensors", "learned.safetensors"
PLOT, CACHE = "metrics.png", "cache"
RESULTS = (CHECKPOINT, HQ_ONLY, LEARNED_ONLY, PLOT)
CACHE_FORMAT = 3
STRIDE = 32  # the input size must be a multiple
LOOSE_PROMPTS = 0.3  # share of poor prompts in the training of a head for the IoU of masks


class TrainPlan(NamedTuple):
    """Plan of a run: number of pairs, total steps, and finished steps."""

    pairs: int
    steps: int
    done: int


@dataclass(frozen=True, slots=True)
class TrainResult:
    """Result of a training: its plan, datasets, best epoch and files, and the rows of an ablation table.

    `skipped` lists problems with files. With `torchrun`, only the main process has results.
    """

    plan: TrainPlan | None = None
    sets: list[ImageMaskFolder] = field(default_factory=list)
    best: Epoch | None = None
    skipped: list[str] = field(default_factory=list)
    images_per_second: float = 0.0
    files: list[Path] = field(default_factory=list)
    table: list[AblationScores] = field(default_factory=list)
    is_main: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRun:
    """A run: its config, files and progress.

    SAM of the checkpoint `base` is frozen; with `scores_base` it is validated first. An existing run in `output` is
    resumed. `stop` tells when to save and raise KeyboardInterrupt.
    """

    config: TrainConfig
    base: Path
    data: list[ImageMaskFolder]
    val: list[ImageMaskFolder]
    output: Path
    command: str = ""
    scores_base: bool = True
    progress: Progress = SILENT
    stop: Callable[[], bool] = lambda: False

    @property
    def mask_output(self) -> MaskOutput:
        """The mask output to validate."""
        if self.config.trains_sam:
            return "sam"
        return "sum" if self.config.mask_output == "both" else self.config.mask_output

    @property
    def learned_file(self) -> Path:
        """Path of the best learned tensors."""
        return self.output / (LEARNED_ONLY if self.config.trains_sam else HQ_ONLY)

    def identity(self) -> dict[str, str]:
        """Options the weights depend on; the number of steps may grow if the learning rate does not depend on it."""
        known = identity(
            self.config, model=file_hash(self.base)[:16], data=_sets_digest(self.data), val=_sets_digest(self.val)
        )
        if self.config.lr_schedule == "step":
            known = {name: value for name, value in known.items() if name not in ("epochs", "steps")}
        return known

    def cache_folder(self) -> Path:
        """Folder of encoded images for this base model, dataset and augmentation."""
        known = self.identity()
        keys = (VERSION, "model", "data", "batch_size", "image_size", "dtype", "seed", "augmentation")
        key = digest(CACHE_FORMAT, *(known.get(key) for key in keys), self.config.keep_sam > 0)
        return self.output / CACHE / key


def prepare_model(run: TrainRun, device: torch.device) -> HQSam:
    """Prepare the model for training, in evaluation mode, which keeps the statistics of SAM's batch norms.

    Raises a UsageError if the base model does not support `image_size`.
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
    epoch_steps = pairs.epoch_length // config.batch_size
    cache = EncodingCache(run.cache_folder(), config.cache) if config.cache else None
    trainer = Trainer(
        model,
        world.wrap(Criterion(model, config, cache), all_used=not config.trains_sam),
        Samples(pairs, config.seed, config.prompts, cache, loose=LOOSE_PROMPTS if config.learn == "score" else 0.0),
        config,
        epoch_steps,
        identity=run.identity(),
        folder=run.output,
        world=world,
        progress=progress,
        stop=run.stop,
    )
    history = trainer.history
    history.command = history.command or run.command
    count = sum(p.numel() for p in trainer.learned.values())
    epochs = math.ceil(trainer.steps / epoch_steps)
    course = f"{trainer.steps} steps, {epoch_steps} per epoch"
    progress.say(f"{count:,} trainable parameters, {len(pairs.pairs)} pairs, {course}")
    if history.step < trainer.steps:
        progress.on_start(trainer.steps, history.step, unit="step")
    if run.val and run.scores_base and history.step == 0 and world.is_main:
        history.base = _score_base(run, model)
    for epoch in range(len(history.epochs), epochs):
        trainer.run(min((epoch + 1) * epoch_steps, trainer.steps))
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
    """Train the rows of an ablation table, each in a subfolder of the output, with new HQ modules."""
    rows = []
    skipped: set[str] = set()
    for row in TABLES[name]:
        # SAM's own masks come from a model whose output token is trained for zero steps.
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
            scores, _ = validate(prepare_model(own, world.device), run.val, mask_output="sam")
            miou, mbiou, _ = mean_scores(scores)
        rows.append(AblationScores(row.name, row.title, miou, mbiou, epoch, *row.paper))
    return TrainResult(skipped=sorted(skipped), table=rows)


def _score_base(run: TrainRun, model: HQSam) -> dict[str, float]:
    """Score the base model: its masks of the trained output, or SAM's if it has none."""
    has_own = not run.config.fresh and HQ_KEY in read_state(run.base)[0]
    output: MaskOutput = run.mask_output if has_own else "sam"
    scores, _ = validate(model, run.val, mask_output=output)
    mean = mean_scores(scores)
    run.progress.say(f"base model, {output}: mIoU {mean.miou:.2f}, mBIoU {mean.mbiou:.2f}")
    return {"miou": mean.miou, "mbiou": mean.mbiou}


def _best(history: History) -> Epoch:
    return max(history.epochs, key=lambda epoch: epoch.validation_score)


def _report_best(best: Epoch, base: dict[str, float] | None, progress: Progress) -> None:
    """Report the selected epoch, and whether it improves on the base model."""
    if best.scores is None:
        progress.say(f"kept epoch {best.epoch}, the last, since there is no `val`")
        return
    progress.say(f"kept epoch {best.epoch}: mIoU {best.scores.miou:.2f}, mBIoU {best.scores.mbiou:.2f}")
    if base is not None and best.validation_score < base["miou"] + base["mbiou"]:
        progress.on_problem(
            f"the result is worse than the base model ({base['miou']:.2f}, {base['mbiou']:.2f}): "
            "use the base model, or train longer, on more images like those of `val`, or with a lower `lr`"
        )


def _end_epoch(run: TrainRun, trainer: Trainer, number: int) -> None:
    """Validate, save the learned tensors if they are the best so far, and save the run state."""
    history = trainer.history
    epoch = Epoch(number, history.step)
    if run.val and trainer.world.is_main:
        with trainer.averaged():
            scores, problems = validate(trainer.model, run.val, mask_output=run.mask_output)
        trainer.note_problems(problems)
        epoch, mean = replace(epoch, sets=scores), mean_scores(scores)
        given = sum(len(folder.pairs) for folder in run.val)
        epochs = math.ceil(trainer.steps / trainer.epoch_steps)
        run.progress.say(
            f"epoch {number} of {epochs}: mIoU {mean.miou:.2f}, mBIoU {mean.mbiou:.2f} "
            f"on {mean.images} of {given} images"
        )
    history.epochs.append(epoch)
    if trainer.world.is_main:
        if epoch is _best(history):
            save_tensors(run.learned_file, _learned(run, trainer), _metadata(run, trainer, epoch))
        trainer.save()
        trainer.write_metrics(epoch.to_dict())
        save_plot(trainer.metrics, history.epochs, run.output / PLOT)


def _learned(run: TrainRun, trainer: Trainer) -> dict[str, Tensor]:
    """The learned tensors, with the HQ modules whose masks a head was trained for."""
    state = {} if run.config.trains_sam else trainer.model.state_dict()
    return {key: tensor for key, tensor in state.items() if is_hq(key)} | trainer.result


def _metadata(run: TrainRun, trainer: Trainer, epoch: Epoch) -> dict[str, str]:
    """Metadata needed to load the weights, and how they were trained."""
    needed = {
        "architecture": str(infer_architecture(trainer.model.state_dict())),
        "image_size": str(trainer.model.image_size),
    }
    own = {
        "base_sha256": file_hash(run.base),
        "data": ", ".join(f"{folder.name} ({len(folder.pairs)} x {folder.weight:g})" for folder in run.data),
        "command": run.command,
        "result": json.dumps(epoch.to_dict()),
        "images_per_second": f"{trainer.images_per_second:.2f}",
        "version": __version__,
    }
    if run.config.learn == "score":  # the masks are still those of the base model
        return read_state(run.base)[1] | needed | {f"score_{key}": value for key, value in own.items()}
    if run.config.mask_output == "auto":
        needed["mask_output"] = "auto"
    return {**needed, "learned": run.config.learn, **own}


def _sets_digest(folders: list[ImageMaskFolder]) -> str:
    """Hash the file names and weights of datasets."""
    return digest(*([folder.weight, *(pair.image.name for pair in folder.pairs)] for folder in folders))
