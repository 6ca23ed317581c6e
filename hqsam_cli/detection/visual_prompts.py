"""Visual prompts of YOLOE: its classes are objects in example photos instead of texts."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..configs import YOLOE, Exif
from ..errors import UsageError
from ..io.find import SourceImage
from ..io.images import read_image
from ..records import Category, Prompt
from .files import ASSETS, EMBEDDED

CELL = 8  # pixels of the resized photo per cell of a prompt mask: the stride of the finest feature map
IMGSZ = 640  # default of ultralytics


@dataclass(frozen=True, slots=True)
class Examples:
    """Photos with labeled objects, by which a detector finds similar ones.

    Attributes:
        photos: with the boxes of their objects, in pixels; decoded when they are needed.
        categories: classes of the objects.
        digest: of the content of the photos, the boxes and the names of their classes.
        exif, max_pixels: how the photos are read.
    """

    photos: list[tuple[SourceImage, list[Prompt]]]
    categories: list[Category]
    digest: str
    exif: Exif
    max_pixels: int


def check_takes_examples(detector: str) -> None:
    """Raise a UsageError for a detector that takes no visual prompts by its name; of others, only the model tells."""
    asset = detector if detector.endswith(".pt") else f"{detector}.pt"
    is_other = not Path(detector).is_file() and asset in ASSETS and not asset.startswith("yoloe")
    if detector == EMBEDDED or Path(detector).suffix in (".onnx", ".safetensors") or is_other:
        raise not_yoloe(detector)


def not_yoloe(detector: str | Path) -> UsageError:
    """The error for a detector that takes no visual prompts."""
    return UsageError(
        "takes no examples (`like`); only a YOLOE does that is neither prompt-free nor exported",
        option="detector",
        value=detector,
        remedy=f"omit it, or pass one such as {YOLOE}",
    )


def set_visual_classes(model: Any, examples: Examples, imgsz: Any, device: torch.device) -> None:
    """Set the classes of a YOLOE to those of examples.

    The embedding of a class is the mean over the photos with objects of it, normalized, as in ultralytics' validation.

    Args:
        imgsz: input size of the detector in pixels, or (height, width).

    Raises:
        ImageError: a photo cannot be read.
    """
    model.to(device).eval()
    embeddings: dict[int, list[Tensor]] = defaultdict(list)
    for source, prompts in examples.photos:
        pixels = read_image(source.file(), exif=examples.exif, max_pixels=examples.max_pixels)
        for category, embedding in _embeddings(model, pixels, prompts, imgsz).items():
            embeddings[category].append(embedding)
    means = [torch.stack(embeddings[category["id"]]).mean(dim=0) for category in examples.categories]
    names = [category["name"] for category in examples.categories]
    model.set_classes(names, normalize(torch.stack(means), dim=-1)[None])


def _embeddings(model: Any, pixels: np.ndarray, prompts: Sequence[Prompt], imgsz: Any) -> dict[int, Tensor]:
    """Embeddings (D,) of the objects of a photo, by category; boxes of the same category are one prompt."""
    from ultralytics.data.augment import LetterBox
    from ultralytics.utils.checks import check_imgsz

    size = check_imgsz(imgsz, stride=model.stride, min_dim=2)  # type: ignore[no-untyped-call]
    padded = np.asarray(LetterBox(size)(image=pixels))  # to a square, as for ultralytics' `refer_image`
    masks: dict[int, np.ndarray] = {}
    for prompt in prompts:
        mask = masks.setdefault(prompt.category_id, np.zeros([n // CELL for n in padded.shape[:2]], np.float32))
        assert prompt.box is not None
        mask[_cells(prompt.box, pixels.shape[:2], padded.shape[:2])] = 1
    weight = next(model.parameters())
    image = torch.from_numpy(np.ascontiguousarray(padded.transpose(2, 0, 1))).to(weight) / 255
    visuals = torch.from_numpy(np.stack(list(masks.values()))).to(weight)
    return dict(zip(masks, model.get_visual_pe(image[None], visuals[None])[0], strict=True))


def _cells(
    box: tuple[float, float, float, float], size: tuple[int, int], padded: tuple[int, int]
) -> tuple[slice, slice]:
    """Rows and columns of the cells of a box: those whose corner it contains, as in ultralytics, and at least one.

    ultralytics rasterizes smaller boxes to nothing, and an empty prompt is the embedding of the whole photo.

    Args:
        box: (x0, y0, x1, y1) in pixels of the photo.
        size, padded: (height, width) of the photo, and of the resized one with its margins.
    """
    gain = min(padded[0] / size[0], padded[1] / size[1])
    rows_columns = []
    for low, high, length, whole in ((box[1], box[3], size[0], padded[0]), (box[0], box[2], size[1], padded[1])):
        margin = round((whole - round(length * gain)) / 2 - 0.1)
        first, last = (math.ceil((n * gain + margin) / CELL) for n in (low, high))
        rows_columns.append(slice(first, last) if first < last else slice(first - 1, first))
    return rows_columns[0], rows_columns[1]
