"""From a batch of samples to the loss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..configs import TrainConfig
from ..modeling.mask_decoder import MaskLogits
from ..modeling.prompt_encoder import PromptBatch
from ..modeling.sam import HQSam, normalize
from .encoding_cache import EncodedImage, EncodingCache, box_prompts, no_objects, sams_objects
from .losses import hard_iou, kept_loss, point_loss
from .prompts import join_prompts, prompt_batch
from .variants import VARIANTS

SEEDS = 1_000_003  # more than there are views of a run


class Criterion(nn.Module):
    """The loss of HQ-SAM's training, on what of the model learns.

    `config.mask_output` says which mask the loss is of: the HQ logits alone, as in the paper, their sum with SAM's, or
    half and half; where SAM itself learns, it is SAM's. `config.keep_sam` is the weight of a second loss: on objects
    that SAM finds by itself, and that no mask of the data is of, these masks are to answer a box as SAM does.

    Args:
        model: whose image encoder runs without gradient unless it learns.
        cache: where encoded images are kept, or None.
    """

    def __init__(self, model: HQSam, config: TrainConfig, cache: EncodingCache | None = None) -> None:
        super().__init__()
        self.model, self.learn, self.trained, self.keep_sam = model, config.learn, config.mask_output, config.keep_sam
        self.boundary_only = VARIANTS[config.variant].boundary_only
        self.cache, self.seed = cache, config.seed

    def forward(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of a collated batch of `Samples`, and what to log beside it."""
        model, hq = self.model, self.learn == "hq"
        prompts, answers = prompt_batch(batch), torch.zeros(0)
        if self.learn == "all":
            embedding, interm_embeddings = model.image_encoder(self._pixels(batch["image"]))
        else:
            views = self._views(batch)
            embedding = torch.stack([view.embedding.float() for view in views])
            interm_embeddings = torch.stack([view.interm_embeddings.float() for view in views])
            if self.keep_sam:
                kept, answers = _kept_prompts(views, batch["pick"], model.device)
                prompts = join_prompts(prompts, kept)
        features = model.fused(embedding, interm_embeddings, hq=hq)
        masks = self._masks(model.decode(features, prompts, mask_tokens=(0,) if self._uses_sam else ()))
        count = len(batch["mask"])
        target = batch["mask"].float() / 255
        losses = [point_loss(m[:count], target, batch["draws"], boundary_only=self.boundary_only) for m in masks]
        loss = torch.stack(losses).mean()
        small = functional.interpolate(target[:, None], masks[0].shape[-2:], mode="area")
        log = {"iou": hard_iou(masks[-1][:count, None], small).mean()}
        if self.keep_sam:
            departure = torch.stack([kept_loss(m[count:], answers) for m in masks]).mean()
            loss = loss + self.keep_sam * departure
            log["kept"] = departure.detach()
        return loss, log

    @property
    def _uses_sam(self) -> bool:
        return self.learn != "hq" or self.trained != "hq"

    def _masks(self, decoded: MaskLogits) -> list[Tensor]:
        """The logits (P, h, w) that the loss is of."""
        if self.learn != "hq":
            return [decoded.sam[:, 0]]
        assert decoded.hq is not None
        found = [] if self.trained == "sum" else [decoded.hq[:, 0]]
        return found if self.trained == "hq" else [*found, (decoded.hq + decoded.sam)[:, 0]]

    def _pixels(self, images: list[Tensor]) -> Tensor:
        pixels = normalize(torch.stack(images).to(self.model.device, non_blocking=True))
        return pixels.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def _views(self, batch: dict[str, Any]) -> list[EncodedImage]:
        """The views of a batch, as the cache has them; those that it lacks are encoded, and kept."""
        views, cache, model = list(batch["encoded"]), self.cache, self.model
        new = [row for row, view in enumerate(views) if view is None]
        if new:
            embedding, interm_embeddings = model.image_encoder(self._pixels([batch["image"][row] for row in new]))
            numbers = [batch["number"][row] for row in new]
            objects = [no_objects(model) for _ in new]
            if self.keep_sam:
                objects = sams_objects(model, embedding, [self.seed * SEEDS + number for number in numbers])
            for k, (row, number) in enumerate(zip(new, numbers, strict=True)):
                found = EncodedImage(embedding[k], interm_embeddings[k], batch["objects"][row], *objects[k])
                views[row] = found if cache is None else cache.keep(number, found)
        return [view.map_features(lambda x: x.to(model.device)) for view in views]


def _kept_prompts(views: list[EncodedImage], picks: list[float], device: torch.device) -> tuple[PromptBatch, Tensor]:
    """A box of one of the objects that SAM finds in each view, and SAM's answers, bool (M, h, w)."""
    some = [(row, pick) for row, pick in enumerate(picks) if len(views[row].boxes)]
    chosen = [(row, int(pick * len(views[row].boxes))) for row, pick in some]
    boxes = torch.stack([views[row].boxes[i] for row, i in chosen]) if chosen else torch.zeros(0, 4)
    side = views[0].answers.shape[-2:]
    answers = torch.stack([views[row].answers[i] for row, i in chosen]) if chosen else torch.zeros(0, *side)
    rows = torch.tensor([row for row, _ in chosen], dtype=torch.long)
    return box_prompts(boxes, rows, device), answers.to(device)
