"""Options of `hqsam train`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .names import DEFAULT_MODEL, MODEL_VARIABLE, Exif
from .option import CHOICES, option
from .run import ABLATIONS, DATA, DEVICE, EXIF_OF_PAIRS, IMAGES, RESULTS, SPEED, TRAINING

Trained = Literal["hq", "sum", "both", "auto"]
Init = Literal["random", "sam"]
Augmentation = Literal["paper", "strong"]
Schedule = Literal["step", "linear"]
Learn = Literal["hq", "score", "all", "decoder", "token"]
Table = Literal["tokens", "fusion", "strategies"]


def _trained(default: Any, help_text: str, panel: str = TRAINING, **more: Any) -> Any:
    """An option that the weights depend on."""
    return option(default, help_text, panel, compared=True, **more)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """Options of a training run, except its data and output; the defaults are those of HQ-SAM, section 4.1.

    `variant` is a key of `training.variants.VARIANTS`.
    """

    hqseg: Path | None = option(None, "HQSeg-44K in its authors' layout; all seven data sets.", DATA, metavar="ROOT")
    val: tuple[Path, ...] = option(
        (), "Validation set, evaluated after each epoch; repeatable.", DATA, metavar="FOLDER"
    )
    model: str = option(
        DEFAULT_MODEL, "Base model: a name, or a SAM, MobileSAM or HQ-SAM checkpoint.", SPEED, metavar="NAME|PATH",
        envvar=MODEL_VARIABLE,
    )  # fmt: skip
    overwrite: bool = option(False, "Overwrite existing output and start from the beginning.", RESULTS)
    epochs: int = _trained(12, "Number of epochs.", metavar="N", min=1)
    steps: int | None = _trained(None, "Number of steps, instead of --epochs.", metavar="N", min=1)
    batch_size: int = _trained(4, "Batch size of each process.", metavar="N", min=1)
    lr: float = _trained(1e-3, "Learning rate of Adam.", metavar="X")
    lr_step: int = _trained(10, "Epochs after which the learning rate is divided by ten.", metavar="N", min=1)
    image_size: int | None = _trained(
        None, "Input size of the model; by default that of the base model.", metavar="S", min=64
    )
    fresh: bool = _trained(False, "Initialize new HQ modules even if the base model has some.")
    init: Init = _trained("random", "Initialization of new HQ modules: random, or such that their masks equal SAM's.")
    mask_output: Trained = _trained(
        "hq", "Masks of the loss: HQ, their sum with SAM's, both, or HQ and the weighted sum (auto)."
    )
    augmentation: Augmentation = _trained(
        "paper", "Augmentation of HQ-SAM, or a stronger one for a few thousand images."
    )
    prompts: int = _trained(1, "Number of prompts per image.", metavar="N", min=1)
    keep_sam: float = _trained(
        0.0, "Weight of a distillation loss that keeps SAM's masks of other objects.", metavar="WEIGHT", min=0
    )
    cache: int = _trained(
        0,
        "Encode N augmented images once, into DIR/cache, 3.5 MB each (8.5 MB with SAM 2), and reuse them; 0: encode a "
        "new one every time.",
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
    dtype: str = _trained("auto", "Precision of the forward pass.", metavar="auto|float32|bfloat16", complete=CHOICES)
    workers: int = option(4, "Number of data loading processes.", TRAINING, metavar="N", min=0)
    seed: int = _trained(42, "Random seed.", metavar="N", min=0)
    checkpoint_steps: int = option(200, "Steps between checkpoints.", TRAINING, metavar="N", min=1)
    variant: str = _trained(
        "full", "Output token or loss of the ablation.", ABLATIONS,
        metavar="full|context|token|scaled|boundary|hq-context",
    )  # fmt: skip
    learn: Learn = _trained(
        "hq",
        "Train the HQ modules; or only a head that predicts the IoU of their masks (score); or a part of SAM instead.",
    )
    table: Table | None = option(None, "Train all rows of a table of the paper, and print it.", ABLATIONS)
    device: str = option("auto", DEVICE, SPEED, metavar="auto|cpu|cuda[:N]|mps")
    exif: Exif = _trained("apply", EXIF_OF_PAIRS, IMAGES)

    @property
    def trains_sam(self) -> bool:
        """Whether a part of SAM is trained, in a model without HQ modules."""
        return self.learn not in ("hq", "score")

    def total_steps(self, epoch_steps: int) -> int:
        """Number of steps of the training; `epoch_steps` per epoch."""
        return self.epochs * epoch_steps if self.steps is None else self.steps
