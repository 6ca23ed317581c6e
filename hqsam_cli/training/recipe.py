"""HQ-SAM's training: a few new modules on a frozen SAM (HQ-SAM, section 4.1).

Adam at 1e-3, a tenth of it from the eleventh epoch on, 12 epochs, batches of 4 on each of 8 GPUs. The loss is of
the HQ logits alone, at a quarter of the frame, against the mask at full resolution.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from .. import __version__
from ..data.pairs import ImageMaskFolder
from ..errors import UsageError
from ..modeling.sam import HQSam, MaskOutput
from ..weights.checkpoints import file_hash, infer_architecture, load_model, read_state
from ..weights.registry import VITS
from .augment import Augmentation
from .criterion import Criterion, Trained
from .data import AugmentedPairs, Samples
from .distributed import World
from .encoding_cache import EncodingCache
from .loop import Course, Training
from .plot import save_plot
from .saving import cannot_save, save_merged, save_tensors
from .validate import mean_scores, validate
from .variants import FULL, Init, Learn, Variant, prepare

CHECKPOINT = "hqsam.safetensors"
HQ_ONLY, LEARNED_ONLY = "hq_only.safetensors", "learned.safetensors"
PLOT = "metrics.png"
FRAMES = "frames"  # folder of encoded frames
WARMUP_STEPS = 50

Schedule = Literal["step", "linear"]
STRIDE = 32  # frames must be whole in the coarsest features


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What to train, on what, and how.

    Attributes:
        base: checkpoint whose SAM is trained upon.
        data, val: sets to learn from and to validate on; without the latter the last weights count as the best.
        output: folder of the results; a run that is there is continued.
        batch_size: samples a step of each process.
        lr_step: epochs after which the learning rate falls to a tenth, again and again, where `schedule` is `step`.
        image_size: side of the frame in pixels, or None for the base's.
        fresh: start with new HQ modules though the base has some.
        init: of new HQ modules: at random, or with SAM's own mask.
        trained, keep_sam: see `Criterion`.
        augmentation: see `AugmentedPairs`.
        prompts: an image.
        frames: how many frames are encoded once and then come again and again; 0 makes a new one for each sample.
        schedule: of the learning rate: `step`, or `linear`, a warm-up of 50 steps and a fall to zero at the end.
        ema_decay: of an exponential moving average of the weights, which is then what is validated and kept.
        command: what the user ran, for the metadata.
    """

    base: Path
    data: list[ImageMaskFolder]
    val: list[ImageMaskFolder]
    output: Path
    epochs: int = 12
    batch_size: int = 4
    lr: float = 1e-3
    lr_step: int = 10
    image_size: int | None = None
    dtype: torch.dtype = torch.float32
    workers: int = 4
    seed: int = 42
    checkpoint_steps: int = 200
    fresh: bool = False
    init: Init = "random"
    trained: Trained = "hq"
    augmentation: Augmentation = "paper"
    prompts: int = 1
    keep_sam: float = 0.0
    frames: int = 0
    schedule: Schedule = "step"
    ema_decay: float | None = None
    learn: Learn = "hq"
    variant: Variant = FULL
    command: str = ""

    @property
    def mask_output(self) -> MaskOutput:
        """What is validated."""
        if self.learn != "hq":
            return "sam"
        return "hq" if self.trained == "hq" else "sum"

    @property
    def learned_file(self) -> Path:
        """Where the best learned tensors go."""
        return self.output / (HQ_ONLY if self.learn == "hq" else LEARNED_ONLY)

    def settings(self, world: World) -> dict[str, str]:
        """What the weights depend on, by flag; the number of epochs may grow."""
        return {
            "--model": file_hash(self.base)[:16],
            "--data": _digest(self.data),
            "--val": _digest(self.val),
            "--batch-size": str(self.batch_size * world.size),
            "--lr": str(self.lr),
            "--lr-step": str(self.lr_step),
            "--image-size": str(self.image_size),
            "--dtype": str(self.dtype),
            "--seed": str(self.seed),
            "--fresh": str(self.fresh),
            "--init": self.init,
            "--mask-output": self.trained,
            "--augmentation": self.augmentation,
            "--prompts": str(self.prompts),
            "--keep-sam": str(self.keep_sam),
            "--frames": str(self.frames),
            "--lr-schedule": self.schedule if self.schedule == "step" else f"{self.schedule} over {self.epochs} epochs",
            "--ema-decay": str(self.ema_decay),
            "--learn": self.learn,
            "--variant": str(self.variant),
        }

    def frames_digest(self, world: World) -> str:
        """What encoded frames depend on; those of another run may lie beside them."""
        settings = self.settings(world)
        keys = ("--model", "--data", "--batch-size", "--image-size", "--dtype", "--seed", "--augmentation")
        own = [settings[key] for key in keys] + [self.keep_sam > 0, __version__]
        return hashlib.sha256(json.dumps(own).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Result:
    """How a run ended.

    Attributes:
        best: the best epoch, from 1, with its scores where there was validation (in the leading process).
        skipped: problems with files.
        files: what was written for users.
    """

    best: dict[str, Any]
    skipped: list[str]
    images_per_second: float
    files: list[Path]


def prepare_model(recipe: Recipe, device: torch.device) -> HQSam:
    """The base with what is to be learned, on its device, in evaluation mode: SAM's statistics stay as they are.

    Raises:
        UsageError: the base cannot work at `image_size`.
    """
    model = load_model(recipe.base)
    size = recipe.image_size or model.image_size
    fixed = infer_architecture(model.state_dict()) in VITS
    if size % STRIDE or (fixed and size != model.image_size):
        wanted = f"is trained at {model.image_size}" if fixed else f"wants a multiple of {STRIDE}"
        raise UsageError(f"--image-size {size}: {recipe.base} {wanted}")
    model.image_size = model.prompt_encoder.image_size = size
    prepare(model, learn=recipe.learn, variant=recipe.variant, fresh=recipe.fresh, init=recipe.init, seed=recipe.seed)
    return model.to(device).to(memory_format=torch.channels_last).eval()


def train(recipe: Recipe, world: World, say: Callable[[str], None], stop: Callable[[], bool] = lambda: False) -> Result:
    """Run a recipe to its end, or on from where it was; every process of the world calls this.

    The folder of results gets `hqsam.safetensors`, the base with the best epoch's learned tensors,
    `hq_only.safetensors`, those alone, `metrics.jsonl`, `metrics.png`, and `train.pt` to continue from.

    Raises:
        HqsamError: an output cannot be written, or the run in the folder is another one.
        KeyboardInterrupt: `stop` said so; the run is saved.
    """
    try:
        recipe.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_save(recipe.output, error) from None
    model = prepare_model(recipe, world.device)
    source = AugmentedPairs(
        recipe.data, model.image_size, recipe.batch_size * world.size, recipe.seed, recipe.augmentation
    )
    epoch_steps = source.steps_per_epoch
    learned = [p for p in model.parameters() if p.requires_grad]
    course = Course(
        name="train",
        steps=recipe.epochs * epoch_steps,
        batch=recipe.batch_size,
        rate=lambda step: _rate(recipe, step, epoch_steps),
        dtype=recipe.dtype,
        average=recipe.ema_decay,
        checkpoint_steps=recipe.checkpoint_steps,
        workers=recipe.workers,
        settings=recipe.settings(world),
    )
    cache = (
        EncodingCache(recipe.output / FRAMES / recipe.frames_digest(world), recipe.frames) if recipe.frames else None
    )
    criterion = Criterion(
        model, recipe.learn, recipe.variant,
        trained=recipe.trained, keep_sam=recipe.keep_sam, cache=cache, seed=recipe.seed,
    )  # fmt: skip
    objective = world.shared(criterion, all_used=recipe.learn == "hq")
    optimizer = torch.optim.Adam([{"params": learned, "peak": recipe.lr}], lr=recipe.lr)
    samples = Samples(source, recipe.seed, recipe.prompts, cache)
    training = Training(model, objective, optimizer, samples, course, recipe.output, world, say, stop)
    count = sum(p.numel() for p in learned)
    say(f"{count:,} parameters learn from {len(source.pairs)} pairs, {recipe.epochs} epochs of {epoch_steps} steps")
    if 0 < training.step < course.steps:
        say(f"going on after step {training.step} of {course.steps}")
    history = training.notes.setdefault("epochs", [])
    for epoch in range(len(history), recipe.epochs):
        training.run((epoch + 1) * epoch_steps)
        _close_epoch(recipe, training, epoch + 1)
    best = max(history, key=_merit)
    files = [recipe.learned_file, recipe.output / PLOT]
    # A decoder with parts left out is for comparing; no other command knows it.
    if recipe.variant == FULL:
        files.insert(0, recipe.output / CHECKPOINT)
        if world.is_main:
            learned_best, metadata = read_state(recipe.learned_file)
            save_merged(files[0], recipe.base, learned_best, metadata)
    return Result(best, sorted(training.skipped), training.images_per_second, files)


def _rate(recipe: Recipe, step: int, epoch_steps: int) -> float:
    """The share of the peak learning rate at a step."""
    if recipe.schedule == "step":
        return 0.1 ** (step // epoch_steps // recipe.lr_step)
    steps = recipe.epochs * epoch_steps
    return min((step + 1) / WARMUP_STEPS, (steps - step) / max(steps - WARMUP_STEPS, 1), 1.0)


def _close_epoch(recipe: Recipe, training: Training, epoch: int) -> None:
    """Validate, keep the learned tensors if they are the best so far, and remember all that."""
    entry: dict[str, Any] = {"epoch": epoch, "step": training.step}
    history = training.notes["epochs"]
    history.append(entry)
    if not training.world.is_main:
        return
    if recipe.val:
        with training.averaged():
            scores, problems = validate(training.model, recipe.val, mask_output=recipe.mask_output, dtype=recipe.dtype)
        training.note_problems(problems)
        mean = mean_scores(scores)
        entry.update(miou=mean.miou, mbiou=mean.mbiou, sets={name: list(found) for name, found in scores.items()})
        given = sum(len(folder.pairs) for folder in recipe.val)
        training.say(
            f"epoch {epoch} of {recipe.epochs}: mIoU {mean.miou:.2f}, mBIoU {mean.mbiou:.2f} "
            f"on {mean.images} of {given} images"
        )
    if entry is max(history, key=_merit):
        save_tensors(recipe.learned_file, training.result, _metadata(recipe, training, entry))
    training.save()
    training.write_metrics(entry)
    save_plot(training.metrics, history, recipe.output / PLOT)


def _merit(epoch: dict[str, Any]) -> float:
    """What the best epoch has most of; without validation the last is the best."""
    return epoch["miou"] + epoch["mbiou"] if "miou" in epoch else epoch["epoch"]


def _metadata(recipe: Recipe, training: Training, entry: dict[str, Any]) -> dict[str, str]:
    """What a loader must know, and how the weights came to be."""
    return {
        "architecture": str(infer_architecture(training.model.state_dict())),
        "image_size": str(training.model.image_size),
        "learned": recipe.learn,
        "base_sha256": file_hash(recipe.base),
        "data": ", ".join(f"{folder.name} ({len(folder.pairs)} x {folder.weight:g})" for folder in recipe.data),
        "command": recipe.command,
        "result": json.dumps(entry),
        "images_per_second": f"{training.images_per_second:.2f}",
        "version": __version__,
    }


def _digest(folders: list[ImageMaskFolder]) -> str:
    """The file names and weights of sets, wherever they lie."""
    names = [[folder.weight, *(Path(pair.image).name for pair in folder.pairs)] for folder in folders]
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()[:16]
