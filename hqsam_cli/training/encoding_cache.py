"""Images that were encoded once: what the frozen part of the model says of an augmented image, on disk.

The image encoder never changes while the HQ modules learn, so an augmented image that went through it once serves
many steps, each with other prompts; a step then costs the decoder alone. One takes about 3.5 MB at 1024 pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..modeling.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, FOREGROUND_POINT, PADDING_POINT, PromptBatch
from ..modeling.sam import HQSam, ImageFeatures
from ..upsample import positive_regions
from .saving import save_tensors

POINTS = 4  # asked of SAM in an image; each that it is sure of gives an object
SURE = 0.8  # SAM's own estimate of the IoU from which its mask counts
LEAST_SIDE = 12  # of a box that SAM is asked to answer, in pixels of the model's square


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
def sams_objects(model: HQSam, embedding: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Objects as SAM sees them, without the HQ token: boxes (M, 4), and its masks of these boxes, bool (M, h, w).

    At each of a few random points the mask that SAM is surest of gives a box; its answer to the box is what counts.

    Args:
        embedding: (1, 256, S / 16, S / 16).
    """
    features, size = ImageFeatures(embedding.float(), None), model.image_size
    places = torch.rand(POINTS, 1, 2, generator=torch.Generator().manual_seed(seed)) * size
    points = torch.cat([places, torch.zeros_like(places)], dim=1)
    at_points = _prompts(points, (FOREGROUND_POINT, PADDING_POINT), model.device)
    logits, sure = model.predict(features, at_points, mask_output="sam", choice="best")
    scale = size // logits.shape[-1]
    found = zip(positive_regions(logits[:, 0]), sure[:, 0].tolist(), strict=True)
    regions = [region for region, estimate in found if region is not None and estimate >= SURE]
    corners = [(left, top, right + 1, bottom + 1) for top, bottom, left, right in regions]
    boxes = torch.tensor(corners, dtype=torch.float32).view(-1, 4) * scale
    boxes = torch.unique(boxes[(boxes[:, 2:] - boxes[:, :2]).amin(dim=1) >= LEAST_SIDE], dim=0)
    if not len(boxes):
        return no_objects(model)
    answers, _ = model.predict(features, box_prompts(boxes, model.device), mask_output="sam")
    return boxes, (answers[:, 0] > 0).cpu()


def box_prompts(boxes: Tensor, device: torch.device) -> PromptBatch:
    """Boxes (M, 4) of one image as a batch of prompts."""
    return _prompts(boxes.view(-1, 2, 2), (BOX_TOP_LEFT, BOX_BOTTOM_RIGHT), device)


def _prompts(points: Tensor, labels: tuple[int, int], device: torch.device) -> PromptBatch:
    count = len(points)
    kinds = torch.tensor(labels, device=device).expand(count, -1)
    return PromptBatch(torch.zeros(count, dtype=torch.long, device=device), points.to(device), kinds)
