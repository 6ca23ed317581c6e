"""The training objective: computes the loss of a batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..configs import TrainConfig
from ..modeling.mask_decoder import MaskLogits
from ..modeling.prompt_encoder import PromptBatch
from ..modeling.sam import HQSam, normalize, weighted_sum
from .data import Batch
from .encoding_cache import EncodedImage, EncodingCache, box_prompts, no_objects, propose_objects
from .losses import distillation_loss, hard_iou, point_loss
from .prompts import join_prompts, prompt_batch
from .variants import VARIANTS

SEEDS = 1_000_003  # exceeds the number of images of a run
JITTER = 0.15  # of the boxes of SAM's proposals for a predicted IoU, as a fraction of their sides
SMOOTH = 0.05  # errors of a predicted IoU above it have an L1 loss


class Criterion(nn.Module):
    """HQ-SAM's training loss.

    `config.mask_output` selects the logits: the HQ logits as in the paper, their sum with SAM's, the mean of both
    losses (`both`), that of the HQ logits and of `weighted_sum` (`auto`), or SAM's own if SAM itself is trained. If a
    head for the IoU of masks is trained, the loss is that of its predictions.
    `config.keep_sam` weights a distillation loss towards SAM's masks, for box prompts of objects that SAM proposes. The
    image encoder has gradients only if it is trained.
    """

    def __init__(self, model: HQSam, config: TrainConfig, cache: EncodingCache | None = None) -> None:
        super().__init__()
        self.model, self.learn, self.trained, self.keep_sam = model, config.learn, config.mask_output, config.keep_sam
        self.boundary_only = VARIANTS[config.variant].boundary_only
        self.cache, self.seed = cache, config.seed

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of a batch, and values to log."""
        model, hq = self.model, self.learn in ("hq", "score")
        prompts, sam_masks = prompt_batch(batch), torch.zeros(0)
        if self.cache is None:
            with torch.set_grad_enabled(self.learn == "all"):
                encoding = model.image_encoder(self._pixels(batch.images))
            proposals = self._propose(encoding, batch.numbers) if self.keep_sam else []
        else:
            images = self._cached(batch, self.cache)
            outputs = zip(*(image.encoding for image in images), strict=True)
            # In float32, since autocast to bfloat16 on a CPU does not stack float16.
            encoding = tuple(torch.stack([own.to(model.device).float() for own in output]) for output in outputs)
            proposals = [(image.boxes, image.sam_masks) for image in images]
        if self.learn != "all":
            encoding = tuple(own.float() for own in encoding)
        if self.keep_sam:
            jitter = JITTER if self.learn == "score" else 0.0
            boxes, sam_masks = _distillation_prompts(proposals, batch.picks, model.device, jitter)
            prompts = join_prompts(prompts, boxes)
        features = model.fused(*encoding, hq=hq)
        mask_tokens = (0,) if self.learn != "hq" or self.trained != "hq" else ()
        decoded = model.decode(features, prompts, mask_tokens=mask_tokens)
        logits = self._logits(decoded)
        count = len(batch.masks)
        target = batch.masks.float() / 255
        if self.learn == "score":
            return self._score_loss(decoded, logits[-1][:, None], target[:, None], sam_masks[:, None])
        losses = [point_loss(own[:count], target, batch.draws, boundary_only=self.boundary_only) for own in logits]
        loss = torch.stack(losses).mean()
        small = functional.interpolate(target[:, None], logits[0].shape[-2:], mode="area")
        log = {"iou": hard_iou(logits[-1][:count, None], small).mean()}
        if self.keep_sam:
            distillation = torch.stack([distillation_loss(own[count:], sam_masks) for own in logits]).mean()
            loss = loss + self.keep_sam * distillation
            log["distillation_loss"] = distillation.detach()
        return loss, log

    def _score_loss(
        self, decoded: MaskLogits, logits: Tensor, target: Tensor, sam_masks: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Smooth L1 loss of the predicted IoU of masks, (P, 1, h, w), and values to log.

        The first masks are compared with `target` (N, 1, S, S), the others with those of SAM, (P - N, 1, h, w).
        """
        head, count = self.model.mask_decoder.hf_iou_head, len(target)
        assert head is not None and decoded.hq is not None
        upsampled = functional.interpolate(logits[:count].float(), target.shape[-2:], mode="bilinear")
        iou = torch.cat([hard_iou(upsampled, target), hard_iou(logits[count:], sam_masks.float())])
        error = functional.smooth_l1_loss(
            head(decoded.iou, decoded.sam, decoded.hq, logits), iou, reduction="none", beta=SMOOTH
        )
        loss = (error[:count].sum() + self.keep_sam * error[count:].sum()) / count
        return loss, {"iou": iou[:count].mean()}

    def _logits(self, decoded: MaskLogits) -> list[Tensor]:
        """The logits (P, h, w) to train."""
        if self.learn not in ("hq", "score"):
            return [decoded.sam[:, 0]]
        assert decoded.hq is not None
        found = [] if self.trained == "sum" else [decoded.hq[:, 0]]
        if self.trained == "hq":
            return found
        added = weighted_sum(decoded.sam, decoded.hq) if self.trained == "auto" else decoded.hq + decoded.sam
        return [*found, added[:, 0]]

    def _pixels(self, images: list[Tensor | None]) -> Tensor:
        found = torch.stack([image for image in images if image is not None])
        pixels = normalize(found.to(self.model.device, non_blocking=True))
        return pixels.contiguous(memory_format=torch.channels_last)

    def _propose(self, encoding: Sequence[Tensor], numbers: list[int]) -> list[tuple[Tensor, Tensor]]:
        """Boxes and SAM's masks of objects in each image, see `propose_objects`."""
        return propose_objects(self.model, encoding, [self.seed * SEEDS + number for number in numbers])

    @torch.no_grad()
    def _cached(self, batch: Batch, cache: EncodingCache) -> list[EncodedImage]:
        """The encoded images of a batch; new ones are written to the cache."""
        encoded = {row: image for row, image in enumerate(batch.encoded) if image is not None}
        new = [row for row in range(len(batch.encoded)) if row not in encoded]
        if new:
            encoding = self.model.image_encoder(self._pixels([batch.images[row] for row in new]))
            numbers = [batch.numbers[row] for row in new]
            proposals = self._propose(encoding, numbers) if self.keep_sam else [no_objects(self.model)] * len(new)
            for k, (row, number) in enumerate(zip(new, numbers, strict=True)):
                objects = batch.objects[row]
                assert objects is not None
                own = tuple(output[k] for output in encoding)
                encoded[row] = cache.write(number, EncodedImage(own, objects, *proposals[k]))
        return [encoded[row] for row in range(len(batch.encoded))]


def _distillation_prompts(
    proposals: list[tuple[Tensor, Tensor]], picks: list[float], device: torch.device, jitter: float
) -> tuple[PromptBatch, Tensor]:
    """Sample a box from the proposals of each image, with SAM's masks for them, bool (M, h, w).

    Box corners are moved by up to `jitter` of the sides.
    """
    places = [int(pick * len(boxes)) for pick, (boxes, _) in zip(picks, proposals, strict=True)]
    # Slices, since an image without proposals adds no box.
    boxes, sam_masks = (
        torch.cat([own[part][place : place + 1] for place, own in zip(places, proposals, strict=True)])
        for part in (0, 1)
    )
    noise = [torch.rand(1, 4, generator=torch.Generator().manual_seed(int(SEEDS * pick))) for pick in picks]
    moved = torch.cat([own for own, (found, _) in zip(noise, proposals, strict=True) if len(found)] or [boxes])
    boxes = boxes + jitter * (2 * moved - 1) * (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)
    rows = torch.tensor([row for row, (own, _) in enumerate(proposals) if len(own)], dtype=torch.long)
    return box_prompts(boxes, rows, device), sam_masks.to(device)
