"""On-disk cache of image encodings.

The image encoder is frozen while HQ modules are trained, so an augmented image is encoded once and reused with
other prompts in later steps, which run only the decoder. An image takes about 3.5 MB at 1024 pixels, 8.5 MB with SAM 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..modeling.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, FOREGROUND_POINT, PADDING_POINT, PromptBatch
from ..modeling.sam import HQSam, ImageFeatures
from ..records import MaskCrop
from .saving import save_tensors

POINTS = 4  # random point prompts per image, for SAM's proposals
PRED_IOU_THRESH = 0.8  # minimum predicted IoU of a proposal
MIN_SIDE = 12  # minimum box side of a proposal, in pixels of the model's input
ENCODING = "encoding."  # prefix of keys


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """An encoded augmented image."""

    encoding: tuple[Tensor, ...]  # (C, h, w) each, the outputs of the image encoder, float16 from a cache
    objects: np.ndarray  # bool array (K, S, S), masks to sample prompts from
    boxes: Tensor  # (M, 4) x0, y0, x1, y1 in input pixels, objects proposed by SAM; M may be 0
    sam_masks: Tensor  # bool (M, S / 4, S / 4), SAM's masks of those boxes


class EncodingCache:
    """A folder of encoded images; it holds `images` of them once all are encoded."""

    def __init__(self, folder: Path, images: int) -> None:
        self.folder, self.images = folder, images
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, number: int) -> EncodedImage | None:
        """Read an encoded image; None if it is not cached."""
        from safetensors.torch import load_file

        path = self._path(number)
        if not path.exists():
            return None
        found = load_file(path)
        side = found["objects"].shape[-2]
        objects = np.unpackbits(found["objects"].numpy(), axis=2, count=side).astype(bool)
        encoding = tuple(found[key] for key in sorted(found) if key.startswith(ENCODING))
        return EncodedImage(encoding, objects, found["boxes"], found["sam_masks"])

    def write(self, number: int, image: EncodedImage) -> EncodedImage:
        """Write an image; returns it as it will be read, so that all steps see the same features."""
        encoding = tuple(own.half() for own in image.encoding)
        tensors = {f"{ENCODING}{number}": own for number, own in enumerate(encoding)}
        tensors |= {"boxes": image.boxes, "sam_masks": image.sam_masks}
        tensors["objects"] = torch.from_numpy(np.packbits(image.objects, axis=2))
        save_tensors(self._path(number), tensors, {})
        return replace(image, encoding=encoding)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.safetensors"


def no_objects(model: HQSam) -> tuple[Tensor, Tensor]:
    """Empty boxes and masks, for an image without proposals."""
    side = model.image_size // 4
    return torch.zeros(0, 4), torch.zeros(0, side, side, dtype=torch.bool)


@torch.no_grad()
def propose_objects(model: HQSam, encoding: Sequence[Tensor], seeds: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Propose objects with plain SAM in N images, with the outputs of the image encoder, (N, ...), and N seeds.

    Each of a few random points gives three masks; the box of one with a high predicted IoU becomes a proposal, and
    SAM's mask for that box its target. Returns boxes (M, 4) and masks, bool (M, h, w), for each image.
    """
    features = model.fused(*(own.float() for own in encoding), hq=False)
    boxes = [torch.unique(own, dim=0) for own in _boxes_at_points(model, features, seeds)]
    counts = torch.tensor([len(own) for own in boxes])
    if not counts.sum():
        return [no_objects(model) for _ in seeds]
    rows = torch.arange(len(boxes)).repeat_interleave(counts)
    prompts = box_prompts(torch.cat(boxes), rows, model.device)
    logits, _ = model.predict(features, prompts, ["sam"])["sam"]
    masks = (logits[:, 0] > 0).cpu().split(counts.tolist())
    return list(zip(boxes, masks, strict=True))


def _boxes_at_points(model: HQSam, features: ImageFeatures, seeds: Sequence[int]) -> list[Tensor]:
    """For each image, boxes (M, 4) of masks at random points with a high predicted IoU."""
    draws = torch.cat([torch.rand(POINTS, 3, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    rows = torch.arange(len(seeds)).repeat_interleave(POINTS)
    places = draws[:, None, :2] * model.image_size
    points = torch.cat([places, torch.zeros_like(places)], dim=1)
    prompts = _prompts(points, (FOREGROUND_POINT, PADDING_POINT), rows, model.device)
    logits, estimates = model.predict(features, prompts, ["sam"], choice="all")["sam"]
    good = estimates.cpu() >= PRED_IOU_THRESH
    some = good.any(dim=1)
    rank = (draws[:, 2] * good.sum(dim=1)).long()  # a random one of the good masks
    chosen = (good.cumsum(dim=1) == rank[:, None] + 1).int().argmax(dim=1)
    masks = (logits[some.to(logits.device), chosen[some].to(logits.device)] > 0).cpu().numpy()
    scale, boxes = model.image_size // logits.shape[-1], [torch.zeros(0, 4) for _ in seeds]
    for row, mask in zip(rows[some].tolist(), masks, strict=True):
        x, y, w, h = (scale * n for n in MaskCrop.whole(mask).tight_box())
        if min(w, h) >= MIN_SIDE:
            boxes[row] = torch.cat([boxes[row], torch.tensor([[x, y, x + w, y + h]], dtype=torch.float32)])
    return boxes


def box_prompts(boxes: Tensor, rows: Tensor, device: torch.device) -> PromptBatch:
    """Convert boxes (M, 4) to a prompt batch; `rows` (M,) are image indices."""
    return _prompts(boxes.view(-1, 2, 2), (BOX_TOP_LEFT, BOX_BOTTOM_RIGHT), rows, device)


def _prompts(points: Tensor, labels: tuple[int, int], rows: Tensor, device: torch.device) -> PromptBatch:
    kinds = torch.tensor(labels, device=device).expand(len(points), -1)
    return PromptBatch(rows.to(device), points.to(device), kinds)
