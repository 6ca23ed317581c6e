"""Images that were encoded once: what the frozen part of the model says of an augmented image, on disk.

The image encoder never changes while the HQ modules learn, so an augmented image that went through it once serves
many steps, each with other prompts; a step then costs the decoder alone. One takes about 3.5 MB at 1024 pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..inference.postprocess import positive_regions
from ..modeling.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, FOREGROUND_POINT, PADDING_POINT, PromptBatch
from ..modeling.sam import HQSam, ImageFeatures
from .saving import save_tensors

POINTS = 4  # asked of SAM in an image; each that it is sure of gives an object
SURE = 0.8  # SAM's own estimate of the IoU from which its mask counts
LEAST_SIDE = 12  # of a box that SAM is asked to answer, in pixels of the model's input


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """What is remembered of an augmented image.

    Attributes:
        embedding: (256, S / 16, S / 16), half precision where it comes from a cache.
        interm_embeddings: (C, h, w), early features of the encoder, likewise.
        objects: bool array (K, S, S), the masks that prompts are drawn from.
        boxes: (M, 4) x0, y0, x1, y1 in pixels of the square: objects that SAM finds by itself; M may be 0.
        answers: bool (M, S / 4, S / 4), SAM's masks when it is asked with those boxes.
    """

    embedding: Tensor
    interm_embeddings: Tensor
    objects: np.ndarray
    boxes: Tensor
    answers: Tensor

    def map_features(self, function: Callable[[Tensor], Tensor]) -> EncodedImage:
        """With other features: what a function makes of each."""
        return replace(self, embedding=function(self.embedding), interm_embeddings=function(self.interm_embeddings))


class EncodingCache:
    """A folder of encoded images.

    Args:
        folder: where they lie, or will.
        images: how many there are to be; when all are, nothing is encoded any more.
    """

    def __init__(self, folder: Path, images: int) -> None:
        self.folder, self.images = folder, images
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, number: int) -> EncodedImage | None:
        """One, or None if it has not been encoded yet."""
        from safetensors.torch import load_file

        path = self._path(number)
        if not path.exists():
            return None
        found = load_file(path)
        side = found["objects"].shape[-2]
        objects = np.unpackbits(found["objects"].numpy(), axis=2, count=side).astype(bool)
        return EncodedImage(found["embedding"], found["interm_embeddings"], objects, found["boxes"], found["answers"])

    def keep(self, number: int, image: EncodedImage) -> EncodedImage:
        """Write one; returns it as it will be read, so that the first step it serves is no other than the next."""
        image = image.map_features(lambda x: x.half().cpu())
        tensors = {"embedding": image.embedding, "interm_embeddings": image.interm_embeddings}
        tensors |= {"boxes": image.boxes, "answers": image.answers}
        tensors["objects"] = torch.from_numpy(np.packbits(image.objects, axis=2))
        save_tensors(self._path(number), tensors, {})
        return image

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.safetensors"


def no_objects(model: HQSam) -> tuple[Tensor, Tensor]:
    """Boxes and answers of an image in which SAM was not asked for objects."""
    side = model.image_size // 4
    return torch.zeros(0, 4), torch.zeros(0, side, side, dtype=torch.bool)


@torch.no_grad()
def sams_objects(model: HQSam, embedding: Tensor, seeds: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """Objects of N images as SAM sees them, without the HQ token.

    At each of a few random points one of the masks that SAM is sure of, of a part or of a whole, gives a box; its
    answer to the box is what counts.

    Args:
        embedding: (N, 256, S / 16, S / 16).
        seeds: of the points of each image.

    Returns:
        For each image boxes (M, 4), and SAM's masks of these boxes, bool (M, h, w).
    """
    features = ImageFeatures(embedding.float(), None)
    boxes = [torch.unique(own, dim=0) for own in _boxes_at_points(model, features, seeds)]
    counts = torch.tensor([len(own) for own in boxes])
    if not counts.sum():
        return [no_objects(model) for _ in seeds]
    rows = torch.arange(len(boxes)).repeat_interleave(counts)
    prompts = box_prompts(torch.cat(boxes), rows, model.device)
    answers, _ = model.predict(features, prompts, ["sam"])["sam"]
    masks = (answers[:, 0] > 0).cpu().split(counts.tolist())
    return list(zip(boxes, masks, strict=True))


def _boxes_at_points(model: HQSam, features: ImageFeatures, seeds: Sequence[int]) -> list[Tensor]:
    """For each image boxes (M, 4) of masks that SAM is sure of, each at a random point."""
    draws = torch.cat([torch.rand(POINTS, 3, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    rows = torch.arange(len(seeds)).repeat_interleave(POINTS)
    places = draws[:, None, :2] * model.image_size
    points = torch.cat([places, torch.zeros_like(places)], dim=1)
    prompts = _prompts(points, (FOREGROUND_POINT, PADDING_POINT), rows, model.device)
    logits, estimates = model.predict(features, prompts, ["sam"], choice="all")["sam"]
    sure = estimates.cpu() >= SURE
    some = sure.any(dim=1)
    rank = (draws[:, 2] * sure.sum(dim=1)).long()  # which of the sure ones
    chosen = (sure.cumsum(dim=1) == rank[:, None] + 1).int().argmax(dim=1)
    masks = logits[some.to(logits.device), chosen[some].to(logits.device)]
    found = zip(rows[some].tolist(), positive_regions(masks), strict=True)
    scale, boxes = model.image_size // logits.shape[-1], [torch.zeros(0, 4) for _ in seeds]
    for row, region in found:
        if region is None:
            continue
        top, bottom, left, right = region
        box = scale * torch.tensor([[left, top, right + 1, bottom + 1]], dtype=torch.float32)
        if (box[:, 2:] - box[:, :2]).amin() >= LEAST_SIDE:
            boxes[row] = torch.cat([boxes[row], box])
    return boxes


def box_prompts(boxes: Tensor, rows: Tensor, device: torch.device) -> PromptBatch:
    """Boxes (M, 4) as a batch of prompts; `rows` (M,) says of which image each is."""
    return _prompts(boxes.view(-1, 2, 2), (BOX_TOP_LEFT, BOX_BOTTOM_RIGHT), rows, device)


def _prompts(points: Tensor, labels: tuple[int, int], rows: Tensor, device: torch.device) -> PromptBatch:
    kinds = torch.tensor(labels, device=device).expand(len(points), -1)
    return PromptBatch(rows.to(device), points.to(device), kinds)
