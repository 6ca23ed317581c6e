"""Training samples.

A sample depends only on the random seed and its number: a resumed run continues with the same samples, and several
processes together see those that one would have seen.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ..configs import Augmentation
from ..data.pairs import ImageMaskFolder, read_alpha, read_pair
from ..errors import HqsamError, ImageError
from ..io.masks import is_foreground
from .augment import STRONG, color_jittered, composite, large_scale_jittered, mosaic, one_component, scaled_and_cropped
from .encoding_cache import EncodedImage, EncodingCache
from .losses import POINT_DRAWS
from .prompts import loose_prompt, paper_prompt, varied_prompt

MAX_PAIRS = 50  # attempts per sample
MAX_CROPS = 20  # attempts per pair
# Random streams of a seed, in addition to the augmentation of a sample.
PROMPTS, EPOCH_ORDER, CACHE_ORDER = 1, 2, 3


class AugmentedImage(NamedTuple):
    """An augmented image, uint8 RGB (S, S, 3), and the masks of K objects in it, uint8 0 to 255, (S, S) each."""

    image: np.ndarray
    masks: list[np.ndarray]


class Batch(NamedTuple):
    """N augmented images with P prompts each; a sample is a batch of one image."""

    numbers: list[int]  # of the augmented images
    images: list[Tensor | None]  # uint8 (3, S, S); None if encoded
    encoded: list[EncodedImage | None]  # from the cache, or None
    objects: list[np.ndarray | None]  # bool (K, S, S), all masks in the image, for the cache; None without one
    picks: list[float]  # random numbers from 0 to 1, to select SAM proposals
    problems: list[str]  # one message per skipped file
    masks: Tensor  # uint8 0 to 255 (N P, S, S), the targets
    points: Tensor  # (N P, T, 2)
    labels: Tensor  # (N P, T)
    coarse: Tensor  # float (N P, 1, S / 4, S / 4), 0 or 255, valid if `has_coarse` (N P,)
    has_coarse: Tensor
    draws: Tensor  # (N P, POINT_DRAWS, 2), random numbers of the point loss


class Samples(Dataset[Batch]):
    """Augmented images with P prompts each; with fewer objects, several prompts share one.

    `cache` holds a fixed number of augmented images; with None each sample has a new one. `loose` is the share of poor
    prompts, see `loose_prompt`.
    """

    def __init__(
        self,
        source: AugmentedPairs,
        seed: int,
        prompts: int = 1,
        cache: EncodingCache | None = None,
        *,
        loose: float = 0.0,
    ) -> None:
        self.source, self.seed, self.prompts, self.cache, self.loose = source, seed, prompts, cache, loose

    def __getitem__(self, index: int) -> Batch:
        number = index  # of the augmented image: the sample's own, or from a shuffle of the cache
        if self.cache is not None and index >= self.cache.images:
            turn, place = divmod(index, self.cache.images)
            order = np.random.default_rng((self.seed, turn, CACHE_ORDER)).permutation(self.cache.images)
            number = int(order[place])
        rng = np.random.default_rng((self.seed, index, PROMPTS))
        encoded = None if self.cache is None else self.cache.read(number)
        pick, problems = float(rng.random()), list[str]()
        image = objects = None
        masks: list[np.ndarray] = []
        if encoded is None:
            pixels, masks = self._augmented(number, problems)
            image = torch.from_numpy(pixels).permute(2, 0, 1)
        if self.cache is not None:  # it stores hard masks, so soft edges are dropped on the first pass too
            objects = is_foreground(np.stack(masks)) if encoded is None else encoded.objects
            masks = [mask.astype(np.uint8) * np.uint8(255) for mask in objects]
        order = rng.permutation(len(masks))
        chosen = [masks[order[i % len(masks)]] for i in range(self.prompts)]
        draw_prompt = paper_prompt if self.source.augmentation == "paper" else varied_prompt
        prompts = [
            loose_prompt(rng, mask, masks) if self.loose and rng.random() < self.loose else draw_prompt(rng, mask)
            for mask in chosen
        ]
        points, labels, coarse, has_coarse = (torch.from_numpy(np.stack(part)) for part in zip(*prompts, strict=True))
        draws = torch.from_numpy(rng.random((len(prompts), POINT_DRAWS, 2), np.float32))
        shown = [number], [image], [encoded], [objects], [pick], problems
        return Batch(*shown, torch.from_numpy(np.stack(chosen)), points, labels, coarse[:, None], has_coarse, draws)

    def _augmented(self, number: int, problems: list[str]) -> AugmentedImage:
        rng = np.random.default_rng((self.seed, number))
        for attempt in range(MAX_PAIRS):
            try:
                augmented = self.source.draw(rng, None if attempt else number)
            except ImageError as error:
                augmented = None
                problems.append(str(error))
            if augmented is not None:
                return augmented
        last = problems[-1] if problems else "crops keep losing the object"
        raise HqsamError(f"{MAX_PAIRS} pairs in a row could not be used, the last: {last}", remedy="check `data`")


def collate(samples: list[Batch]) -> Batch:
    """Collate samples into a batch."""
    parts = zip(*samples, strict=True)
    joined: Any = (torch.cat(own) if isinstance(own[0], Tensor) else [x for one in own for x in one] for own in parts)
    return Batch(*joined)


class AugmentedPairs:
    """Augmented images of size S, shuffled per epoch; `batch` is samples per step over all processes.

    The weight of a folder is how often each of its pairs is seen per epoch: 2 twice, 0.5 a random half of them. The
    last incomplete batch of an epoch is dropped, as in the authors' code. Unlike there, a crop that misses the object
    is sampled again, so that no mask is empty.

    `paper` is HQ-SAM's large-scale jitter and a flip; `strong` has a narrower scale range, plus color jitter, mosaics,
    single components of masks, and alpha mattes on other images.
    """

    def __init__(
        self, folders: list[ImageMaskFolder], size: int, batch: int, seed: int, augmentation: Augmentation = "paper"
    ) -> None:
        self.pairs = [pair for folder in folders for pair in folder.pairs]
        self.photos = [pair for pair in self.pairs if pair.alpha is None] or self.pairs
        self.folders, self.size, self.seed, self.augmentation = folders, size, seed, augmentation
        self.epoch_length = steps_per_epoch(folders, batch) * batch
        self.order: tuple[int, np.ndarray] | None = None

    def draw(self, rng: np.random.Generator, number: int | None) -> AugmentedImage | None:
        """Augment the numbered image, or a random pair; None if the object is cropped out. Raises an ImageError."""
        index = int(rng.integers(len(self.pairs))) if number is None else self._place(number)
        if self.augmentation == "strong":
            return self._strong(rng, index)
        image, values = read_pair(self.pairs[index])
        mask = is_foreground(values).view(np.uint8)
        for _ in range(MAX_CROPS):
            square, target = large_scale_jittered(rng, image, mask, self.size)
            if is_foreground(target).any():
                return AugmentedImage(square, [target])
        return None

    def _strong(self, rng: np.random.Generator, index: int) -> AugmentedImage | None:
        image, mask = self._flipped(rng, index)
        if rng.random() < STRONG.component:
            mask = one_component(rng, mask)
        masks = [mask]
        if rng.random() < STRONG.mosaic:
            others = [self._flipped(rng, int(rng.integers(len(self.pairs)))) for _ in range(3)]
            image, masks = mosaic(rng, image, mask, others)
        if not masks:
            return None
        image, masks = scaled_and_cropped(rng, color_jittered(rng, image), masks, self.size)
        return AugmentedImage(image, [found * np.uint8(255) for found in masks]) if masks else None

    def _flipped(self, rng: np.random.Generator, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Read an image (H, W, 3) RGB and its mask, uint8 0 / 1 (H, W), randomly flipped; mattes on other images."""
        pair = self.pairs[index]
        image, values = read_pair(pair)
        mask = is_foreground(values).view(np.uint8)
        if pair.alpha is not None and rng.random() < STRONG.composite:
            background, _ = read_pair(self.photos[rng.integers(len(self.photos))])
            image, mask = composite(rng, image, read_alpha(pair.alpha, image), background)
        if rng.random() < 0.5:
            image, mask = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
        return image, mask

    def _place(self, number: int) -> int:
        """Index of the pair of an augmented image."""
        epoch, place = divmod(number, self.epoch_length)
        if self.order is None or self.order[0] != epoch:
            rng = np.random.default_rng((self.seed, epoch, EPOCH_ORDER))
            chosen, first = [], 0
            for folder in self.folders:
                own = np.arange(first, first + len(folder.pairs))
                rounds, rest = divmod(folder.samples_per_epoch, len(own))
                chosen += [own] * rounds + [rng.choice(own, rest, replace=False)]
                first += len(own)
            self.order = epoch, rng.permutation(np.concatenate(chosen))
        return int(self.order[1][place])


def steps_per_epoch(folders: list[ImageMaskFolder], batch: int) -> int:
    """Number of full batches per epoch; raises an HqsamError if there is none."""
    steps = sum(folder.samples_per_epoch for folder in folders) // batch
    if not steps:
        pairs = sum(len(folder.pairs) for folder in folders)
        raise HqsamError(f"{pairs} pairs do not make a batch of {batch}", remedy="lower `batch_size`")
    return steps


def step_batches(first: int, last: int, batch: int, rank: int = 0, size: int = 1) -> list[list[int]]:
    """Sample numbers of each step from `first` to `last` for one process, with `batch` samples per step."""
    begins = ((step * size + rank) * batch for step in range(first, last))
    return [list(range(begin, begin + batch)) for begin in begins]
