"""What `hqsam train` is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .names import DEFAULT_MODEL, MODEL_VARIABLE, Exif
from .option import option
from .run import ABLATIONS, EXIF_OF_PAIRS, IMAGES, RESULTS, SPEED, TRAINING

Trained = Literal["hq", "sum", "both"]
Init = Literal["random", "sam"]
Augmentation = Literal["paper", "strong"]
Schedule = Literal["step", "linear"]
Learn = Literal["hq", "all", "decoder", "token"]
Table = Literal["tokens", "fusion", "strategies"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What a training is told beside its data and its output; the defaults are those of HQ-SAM, section 4.1.

    What is `compared` decides the weights; `variant` is a key of `training.variants.VARIANTS`.
    """

    model: str = option(
        DEFAULT_MODEL,
        "The base: a name, or a SAM, MobileSAM or HQ-SAM checkpoint.",
        SPEED,
        metavar="NAME|PATH",
        envvar=MODEL_VARIABLE,
    )
    overwrite: bool = option(False, "Start again instead of continuing.", RESULTS)
    epochs: int = option(12, "Number of epochs.", TRAINING, metavar="N", min=1, compared=True)
    batch_size: int = option(4, "Images per step of each process.", TRAINING, metavar="N", min=1, compared=True)
    lr: float = option(1e-3, "Learning rate of Adam.", TRAINING, metavar="X", compared=True)
    lr_step: int = option(
        10, "Epochs after which the learning rate is divided by ten.", TRAINING, metavar="N", min=1, compared=True
    )
    image_size: int | None = option(
        None, "Input size; by default the base's.", TRAINING, metavar="S", min=64, compared=True
    )
    fresh: bool = option(False, "New HQ modules even if the base has some.", TRAINING, compared=True)
    init: Init = option(
        "random", "Initialize new HQ modules at random, or such that their masks are SAM's.", TRAINING, compared=True
    )
    mask_output: Trained = option(
        "hq", "Masks of the loss: HQ, their sum with SAM's, or the mean of both.", TRAINING, compared=True
    )
    augmentation: Augmentation = option(
        "paper", "HQ-SAM's, or a stronger one for a few thousand images.", TRAINING, compared=True
    )
    prompts: int = option(1, "Prompts per image.", TRAINING, metavar="N", min=1, compared=True)
    keep_sam: float = option(
        0.0,
        "Weight of a distillation loss that keeps the masks of other objects as SAM's.",
        TRAINING,
        metavar="WEIGHT",
        min=0,
        compared=True,
    )
    cache: int = option(
        0,
        "Encode N augmented images once, into DIR/cache, 3.5 MB each, and reuse them; 0: encode a new one every time.",
        TRAINING,
        metavar="N",
        min=0,
        compared=True,
    )
    lr_schedule: Schedule = option(
        "step",
        "Divide the learning rate by ten (--lr-step), or decay it linearly to zero after a warm-up of 50 steps.",
        TRAINING,
        compared=True,
    )
    ema_decay: float | None = option(
        None,
        "Decay of an exponential moving average of the weights, which is then validated and saved.",
        TRAINING,
        metavar="X",
        min=0,
        max=1,
        compared=True,
    )
    max_grad_norm: float | None = option(
        None, "Clip the norm of the gradient.", TRAINING, metavar="X", min=0, compared=True
    )
    dtype: str = option(
        "auto", "Precision of the forward pass.", TRAINING, metavar="auto|float32|bfloat16", compared=True
    )
    workers: int = option(4, "Processes that load data.", TRAINING, metavar="N", min=0)
    seed: int = option(42, "Random seed.", TRAINING, metavar="N", min=0, compared=True)
    checkpoint_steps: int = option(200, "Steps between checkpoints.", TRAINING, metavar="N", min=1)
    variant: str = option(
        "full",
        "Another output token, or another loss.",
        ABLATIONS,
        metavar="full|context|token|scaled|boundary|hq-context",
        compared=True,
    )
    learn: Learn = option("hq", "Train a part of SAM instead of the HQ modules.", ABLATIONS, compared=True)
    table: Table | None = option(None, "Train all rows of a table of the paper, and print it.", ABLATIONS)
    device: str = option("auto", "Where to compute.", SPEED, metavar="auto|cpu|cuda[:N]|mps")
    exif: Exif = option("apply", EXIF_OF_PAIRS, IMAGES, compared=True)
