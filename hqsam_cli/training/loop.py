"""One stage of training: a loop over steps that can be killed and goes on where its last checkpoint was."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm import tqdm

from ..models.sam import HQSam, normalised
from .augment import AugmentConfig
from .data import PairFolder, PromptedMasks, Stretch
from .losses import edge_weight, hard_iou, mask_loss
from .prompts import PromptMix, prompt_batch


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
    seed: int = 0


HQ_MODULES = ("hf_token", "hf_mlp", "compress_vit_feat", "embedding_encoder", "embedding_maskfeature")
WARMUP_STEPS = 50
CHECKPOINT_STEPS = 100
EMA_DECAY = 0.998


def is_hq_parameter(name: str) -> bool:
    """Whether a parameter belongs to one of the five HQ modules."""
    return name.startswith("mask_decoder.") and name.split(".")[1] in HQ_MODULES


def trained_groups(model: HQSam, stage: Stage) -> list[dict[str, object]]:
    """Parameter groups of the stage; everything else is frozen.

    The stem and the first two stages of the backbone stay as ImageNet made them: they hold most of the
    pixels, so most of the cost, and the least that depends on the task.
    """
    backbone: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        frozen = name.startswith(("image_encoder.stem", "image_encoder.stages.0.", "image_encoder.stages.1."))
        learns = is_hq_parameter(name) if stage.part == "hq" else not (is_hq_parameter(name) or frozen)
        parameter.requires_grad_(learns)
        if learns:
            (backbone if name.startswith("image_encoder.stages.") else rest).append(parameter)
    groups = [{"params": backbone, "peak": stage.encoder_lr}, {"params": rest, "peak": stage.lr}]
    return [group for group in groups if group["params"]]


def stage_loss(model: HQSam, batch: dict[str, Tensor], part: str) -> tuple[Tensor, dict[str, float]]:
    """Loss of a batch and what to log of it."""
    prompts = prompt_batch(batch)
    images = normalised(batch["image"]).contiguous(memory_format=torch.channels_last)
    target = batch["mask"].float()
    size = target.shape[-1]
    if part == "hq":
        with torch.no_grad():
            encoded = model.image_encoder(images)
        features = model.fused(*encoded, hq=True)
        logits = model.decode(features, prompts, mask_tokens=()).hq
        assert logits is not None
        full = functional.interpolate(logits.float(), (size, size), mode="bilinear", align_corners=False)[:, 0]
        loss = mask_loss(full, target, edge_weight(target, size // 64)).mean()
        return loss, {"loss": loss.item(), "iou": hard_iou(full[:, None], target[:, None]).mean().item()}

    features = model.encode(images, hq=False)
    decoded = model.decode(features, prompts, mask_tokens=(0, 1, 2, 3))
    sam = decoded.sam.float()
    full = functional.interpolate(sam[:, :1], (size, size), mode="bilinear", align_corners=False)[:, 0]
    single = mask_loss(full, target, edge_weight(target, size // 32)).mean()
    # The three masks of an ambiguous prompt: only the best of them is told to improve (SAM, section 3).
    small = functional.avg_pool2d(target[:, None], 4)
    three = mask_loss(sam[:, 1:].flatten(0, 1), small.expand(-1, 3, -1, -1).flatten(0, 1)).view(-1, 3)
    iou = hard_iou(sam, small)
    estimate = functional.mse_loss(decoded.iou.float(), iou)
    loss = single + 0.3 * three.min(dim=1).values.mean() + estimate
    return loss, {"loss": loss.item(), "single": single.item(), "iou": iou[:, 0].mean().item()}


def run_stage(model: HQSam, stage: Stage, folders: list[PairFolder], out: Path, *, device: str, workers: int) -> None:
    """Train `model` in place through one stage; its averaged weights are what is left at the end.

    `out/<stage>.pt` holds the state of an unfinished stage, `out/metrics.jsonl` a line every 20 steps.
    """
    chosen = [PairFolder(f.name, f.pairs, stage.weights[f.name]) for f in folders if stage.weights.get(f.name)]
    samples = PromptedMasks(chosen, stage.size, stage.mix, stage.augment, stage.seed)
    model.image_size = model.prompt_encoder.image_size = stage.size
    model.to(device)
    optimizer = torch.optim.AdamW(trained_groups(model, stage), lr=0.0, weight_decay=0.01)
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    checkpoint, first = out / f"{stage.name}.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        average, first = saved["average"], saved["step"]
    loader = DataLoader(
        samples,
        batch_size=stage.batch,
        sampler=Stretch(first * stage.batch, stage.steps * stage.batch),
        num_workers=workers,
        worker_init_fn=lambda _: cv2.setNumThreads(0),
    )
    model.train()
    began = time.monotonic()
    progress = tqdm(loader, initial=first, total=stage.steps, desc=stage.name, mininterval=10)
    for step, batch in enumerate(progress, start=first):
        share = min((step + 1) / WARMUP_STEPS, (stage.steps - step) / (stage.steps - WARMUP_STEPS), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share
        batch = {k: v.to(device, non_blocking=True) for k, v in batch.items()}
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            loss, log = stage_loss(model, batch, stage.part)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
        optimizer.step()
        update_average(average, model, min(EMA_DECAY, (step + 1) / (step + 10)))
        if step % 20 == 0:
            rate = (step + 1 - first) * stage.batch / (time.monotonic() - began)
            line = {"stage": stage.name, "step": step, **log, "images_per_second": round(rate, 2)}
            with (out / "metrics.jsonl").open("a") as metrics:
                metrics.write(json.dumps(line) + "\n")
        if (step + 1) % CHECKPOINT_STEPS == 0 or step + 1 == stage.steps:
            state = {
                "model": model.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average,
                "step": step + 1,
            }
            torch.save(state, checkpoint.with_suffix(".tmp"))
            os.replace(checkpoint.with_suffix(".tmp"), checkpoint)
    model.load_state_dict(average)


@torch.no_grad()
def update_average(average: dict[str, Tensor], model: HQSam, decay: float) -> None:
    """Move the exponential moving average of the weights towards the model's."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            average[name].lerp_(parameter.detach(), 1 - decay)
