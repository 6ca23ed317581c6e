"""What is trained and how, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..configs import Exif

Trained = Literal["hq", "sum", "both"]
Init = Literal["random", "sam"]
Augmentation = Literal["paper", "strong"]
Schedule = Literal["step", "linear"]
Learn = Literal["hq", "all", "decoder", "token"]
Variant = Literal["full", "context", "token", "scaled", "boundary", "hq-context"]  # rows of the paper's table 2
Fusion = Literal["none", "decoder", "early", "final", "full"]  # of its table 3
Table = Literal["tokens", "fusion", "strategies"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Everything that the weights depend on, beside files (defaults: HQ-SAM, section 4.1).

    Attributes:
        batch_size: images per step of each process.
        lr_step: epochs after which `lr_schedule` `step` divides the learning rate by ten, repeatedly.
        lr_schedule: `step`, or `linear`: a warm-up of 50 steps, then a linear decay to zero.
        image_size: input size of the model in pixels; None is that of the base.
        dtype: of the forward pass: `float32`, `bfloat16`, or `auto`.
        fresh: initialize HQ modules even if the base has some.
        init: of new HQ modules: random, or such that their masks are SAM's.
        mask_output, keep_sam: see `Criterion`.
        augmentation: see `AugmentedPairs`.
        prompts: per image.
        cache: number of augmented images that are encoded once and reused; 0 encodes a new one for every sample.
        ema_decay: of an exponential moving average of the weights, which is validated and saved; None for no average.
        max_grad_norm: clip the norm of the gradient.
        learn: the HQ modules, or a part of SAM instead.
        exif: how photos with an EXIF orientation are read where their masks fit both ways.
        variant: ablation of the paper; see `training.variants`.
    """

    epochs: int = 12
    batch_size: int = 4
    lr: float = 1e-3
    lr_step: int = 10
    lr_schedule: Schedule = "step"
    image_size: int | None = None
    dtype: str = "auto"
    seed: int = 42
    fresh: bool = False
    init: Init = "random"
    mask_output: Trained = "hq"
    augmentation: Augmentation = "paper"
    prompts: int = 1
    keep_sam: float = 0.0
    cache: int = 0
    ema_decay: float | None = None
    max_grad_norm: float | None = None
    learn: Learn = "hq"
    exif: Exif = "apply"
    variant: str = "full"
