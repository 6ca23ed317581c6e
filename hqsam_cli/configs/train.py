"""What `hqsam train` is told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .names import DEFAULT_MODEL, MODEL_VARIABLE, Exif
from .option import option
from .run import ABLATIONS, DATA, EXIF_OF_PAIRS, IMAGES, RESULTS, SPEED, TRAINING

Trained = Literal["hq", "sum", "both"]
Init = Literal["random", "sam"]
Augmentation = Literal["paper", "strong"]
Schedule = Literal["step", "linear"]
Learn = Literal["hq", "all", "decoder", "token"]
Table = Literal["tokens", "fusion", "strategies"]


def _trained(default: Any, help_text: str, panel: str = TRAINING, **more: Any) -> Any:
    """An option that the weights depend on."""
    return option(default, help_text, panel, compared=True, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What a training is told beside its data and its output; the defaults are those of HQ-SAM, section 4.1.

    `variant` is a key of `training.variants.VARIANTS`.
    """

    hqseg: Path | None = option(None, "HQSeg-44K in its authors' layout, all seven sets.", DATA, metavar="ROOT")
    val: tuple[Path, ...] = option((), "Validate on it after each epoch. Repeatable.", DATA, metavar="FOLDER")
    model: str = option(
        DEFAULT_MODEL, "The base: a name, or a SAM, MobileSAM or HQ-SAM checkpoint.", SPEED, metavar="NAME|PATH",
        envvar=MODEL_VARIABLE,
    )  # fmt: skip
    overwrite: bool = option(False, "Start again instead of continuing.", RESULTS)
    epochs: int = _trained(12, "Number of epochs.", metavar="N", min=1)
    batch_size: int = _trained(4, "Images per step of each process.", metavar="N", min=1)
    lr: float = _trained(1e-3, "Learning rate of Adam.", metavar="X")
    lr_step: int = _trained(10, "Epochs after which the learning rate is divided by ten.", metavar="N", min=1)
    image_size: int | None = _trained(None, "Input size; by default the base's.", metavar="S", min=64)
    fresh: bool = _trained(False, "New HQ modules even if the base has some.")
    init: Init = _trained("random", "Initialize new HQ modules at random, or such that their masks are SAM's.")
    mask_output: Trained = _trained("hq", "Masks of the loss: HQ, their sum with SAM's, or the mean of both.")
    augmentation: Augmentation = _trained("paper", "HQ-SAM's, or a stronger one for a few thousand images.")
    prompts: int = _trained(1, "Prompts per image.", metavar="N", min=1)
    keep_sam: float = _trained(
        0.0, "Weight of a distillation loss that keeps the masks of other objects as SAM's.", metavar="WEIGHT", min=0
    )
    cache: int = _trained(
        0,
        "Encode N augmented images once, into DIR/cache, 3.5 MB each, and reuse them; 0: encode a new one every time.",
        metavar="N",
        min=0,
    )
    lr_schedule: Schedule = _trained(
        "step", "Divide the learning rate by ten (--lr-step), or decay it linearly to zero after a warm-up of 50 steps."
    )
    ema_decay: float | None = _trained(
        None, "Decay of an exponential moving average of the weights, which is validated and saved.", metavar="X",
        min=0, max=1,
    )  # fmt: skip
    max_grad_norm: float | None = _trained(None, "Clip the norm of the gradient.", metavar="X", min=0)
    dtype: str = _trained("auto", "Precision of the forward pass.", metavar="auto|float32|bfloat16")
    workers: int = option(4, "Processes that load data.", TRAINING, metavar="N", min=0)
    seed: int = _trained(42, "Random seed.", metavar="N", min=0)
    checkpoint_steps: int = option(200, "Steps between checkpoints.", TRAINING, metavar="N", min=1)
    variant: str = _trained(
        "full", "Another output token, or another loss.", ABLATIONS,
        metavar="full|context|token|scaled|boundary|hq-context",
    )  # fmt: skip
    learn: Learn = _trained("hq", "Train a part of SAM instead of the HQ modules.", ABLATIONS)
    table: Table | None = option(None, "Train all rows of a table of the paper, and print it.", ABLATIONS)
    device: str = option("auto", "Where to compute.", SPEED, metavar="auto|cpu|cuda[:N]|mps")
    exif: Exif = _trained("apply", EXIF_OF_PAIRS, IMAGES)
