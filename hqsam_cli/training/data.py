"""Training samples from folders of images and masks.

A sample is a pure function of (seed, index): a run that stops and goes on sees what it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from .augment import AugmentConfig, color_jittered, composited, framed, mosaic, one_component
from .prompts import PromptMix, sampled_prompt

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True, slots=True)
class PairFolder:
    """One set: `images/` and `masks/` (.png) with equal stems, and its share of the samples."""

    name: str
    pairs: list[tuple[str, str]]
    weight: float


def pair_folder(folder: Path, weight: float) -> PairFolder:
    """Pairs of one folder; an image without a mask, or a folder without a pair, is a ValueError."""
    images = sorted(p for p in (folder / "images").glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    pairs = [(str(p), str(folder / "masks" / f"{p.stem}.png")) for p in images]
    missing = [mask for _, mask in pairs if not Path(mask).is_file()]
    if missing or not pairs:
        raise ValueError(f"{folder}: " + (f"no mask {missing[0]}" if missing else "no images/ with masks/"))
    return PairFolder(folder.name, pairs, weight)


class PromptedMasks(Dataset[dict[str, Tensor]]):
    """Augmented images with one object and one prompt each.

    An item holds `image` uint8 (3, S, S), `mask` uint8 0 / 1 (S, S), `points` (T, 2), `labels` (T,) and
    `coarse` float (1, S / 4, S / 4), 0 / 255, with `has_coarse`.

    Args:
        folders: sets to draw from, by their weights.
        size: side S of the frame.
        mix: how often each kind of prompt is drawn.
        augment: strength of the augmentation.
        seed: with the index, all that a sample depends on.
    """

    def __init__(self, folders: list[PairFolder], size: int, mix: PromptMix, augment: AugmentConfig, seed: int) -> None:
        self.folders = folders
        self.size = size
        self.mix = mix
        self.augment = augment
        self.seed = seed
        weights = np.array([f.weight for f in folders])
        self.shares = weights / weights.sum()

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        rng = np.random.default_rng((self.seed, index))
        while True:
            sample = self._sample(rng)
            if sample is not None:
                return sample

    def _sample(self, rng: np.random.Generator) -> dict[str, Tensor] | None:
        """One sample, or None where too little of the object was left to learn from."""
        image, mask = self._pair(rng)
        if rng.random() < self.augment.component:
            mask = one_component(rng, mask)
        if rng.random() < self.augment.mosaic:
            image, mask = mosaic(rng, image, mask, [self._pair(rng)[0] for _ in range(3)])
        if rng.random() < self.augment.composite:
            count = int(rng.integers(1, self.augment.pastes + 1))
            image, mask = composited(rng, image, mask, [self._pair(rng) for _ in range(count)])
        image, mask = framed(rng, color_jittered(rng, image, self.augment), mask, self.size, self.augment)
        if mask.sum() < self.augment.least_object * self.size**2:
            return None
        prompt = sampled_prompt(rng, mask, self.mix)
        return {
            "image": torch.from_numpy(image).permute(2, 0, 1),
            "mask": torch.from_numpy(mask),
            "points": torch.from_numpy(prompt.points),
            "labels": torch.from_numpy(prompt.labels),
            "coarse": torch.from_numpy(prompt.coarse)[None],
            "has_coarse": torch.tensor(prompt.has_coarse),
        }

    def _pair(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A random image (H, W, 3) RGB and its mask, uint8 0 / 1 (H, W)."""
        folder = self.folders[rng.choice(len(self.folders), p=self.shares)]
        image_path, mask_path = folder.pairs[rng.integers(len(folder.pairs))]
        image = cv2.imread(image_path, cv2.IMREAD_COLOR)
        mask = cv2.imread(mask_path, cv2.IMREAD_GRAYSCALE)
        if image is None or mask is None or image.shape[:2] != mask.shape:
            raise ValueError(f"{image_path}: unreadable, or not the size of its mask {mask_path}")
        if rng.random() < 0.5:
            image, mask = image[:, ::-1], mask[:, ::-1]
        return np.ascontiguousarray(image[..., ::-1]), np.ascontiguousarray((mask > 127).astype(np.uint8))


class Stretch(Sampler[int]):
    """Indices from one sample number up to another, so that a resumed run starts in mid-stream."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last))

    def __len__(self) -> int:
        return self.last - self.first
