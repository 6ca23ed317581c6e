"""What a training run is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .names import Exif

Trained = Literal["hq", "sum", "both"]
Init = Literal["random", "sam"]
Augmentation = Literal["paper", "strong"]
Schedule = Literal["step", "linear"]
Learn = Literal["hq", "all", "decoder", "token"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """What the weights of a training run depend on, beside the files it reads (defaults: HQ-SAM, section 4.1).

    Attributes:
        batch_size: samples a step, of all processes together.
        lr_step: epochs after which the learning rate falls to a tenth, again and again, where `lr_schedule` is `step`.
        lr_schedule: `step`, or `linear`, a warm-up of 50 steps and a fall to zero at the end of the last epoch.
        image_size: side of the model's input size in pixels, or None for the base's.
        fresh: start with new HQ modules though the base has some.
        init: of new HQ modules: at random, or with SAM's own mask.
        mask_output, keep_sam: see `Criterion`.
        augmentation: see `AugmentedPairs`.
        prompts: an image.
        cache: how many augmented images are encoded once and then come again and again; 0 makes a new one for each
            sample.
        ema_decay: of an exponential moving average of the weights, which is then what is validated and kept.
        max_grad_norm: largest norm of the gradient, or None.
        learn: what of the model learns: the HQ modules, or a part of SAM instead.
        exif: how photos that EXIF turns are read where their masks would fit both ways.
        variant: of the paper's ablations; see `training.variants`.
    """

    epochs: int = 12
    batch_size: int = 4
    lr: float = 1e-3
    lr_step: int = 10
    lr_schedule: Schedule = "step"
    image_size: int | None = None
    dtype: str = "float32"
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
