"""Training samples.

A sample is a pure function of the run's seed and of its number, so a run that was killed goes on with what it
would have seen, and several processes see together what one would have seen alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler, default_collate

from ..errors import HqsamError, ImageError
from .augment import AugmentConfig, color_jittered, composited, framed, large_scale_jittered, mosaic, one_component
from .layouts import PairFolder, read_pair
from .losses import POINT_DRAWS
from .prompts import PromptMix, SampledPrompt, recipe_prompt, sampled_prompt

MOST_DRAWS = 50  # pairs tried for one sample before the data is given up
MOST_CROPS = 20  # crops tried before another pair is taken
EPOCH_ORDER = 1  # keeps the random numbers of an epoch's order apart from those of a sample

Drawn = tuple[np.ndarray, list[np.ndarray], list[SampledPrompt]]


class Source(Protocol):
    """Where samples come from."""

    def drawn(self, rng: np.random.Generator, number: int | None) -> Drawn | None:
        """Image uint8 (S, S, 3), K masks uint8 0 to 255 (S, S) with a prompt each, or None if the draw was of no use.

        Args:
            number: which sample; None for any, where that one turned out to be of no use.

        Raises:
            ImageError: a file was of no use.
        """
        ...


class PromptedMasks(Dataset[dict[str, Any]]):
    """Augmented images with K prompts each.

    An item holds `image` uint8 (3, S, S), `mask` uint8 0 to 255 (K, S, S), `points` (K, T, 2), `labels` (K, T),
    `coarse` float (K, 1, S / 4, S / 4), 0 / 255, with `has_coarse` (K,), `draws` (K, POINT_DRAWS, 2), the random
    numbers of the point loss, and `problems`, a line for each file that had to be skipped.
    """

    def __init__(self, source: Source, seed: int) -> None:
        self.source = source
        self.seed = seed

    def __getitem__(self, number: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, number))
        problems: list[str] = []
        wanted: int | None = number
        for _ in range(MOST_DRAWS):
            try:
                drawn = self.source.drawn(rng, wanted)
            except ImageError as error:
                drawn = None
                problems.append(str(error))
            if drawn is not None:
                image, masks, prompts = drawn
                return {
                    "image": torch.from_numpy(image).permute(2, 0, 1),
                    "mask": torch.from_numpy(np.stack(masks)),
                    "points": torch.from_numpy(np.stack([prompt.points for prompt in prompts])),
                    "labels": torch.from_numpy(np.stack([prompt.labels for prompt in prompts])),
                    "coarse": torch.from_numpy(np.stack([prompt.coarse for prompt in prompts]))[:, None],
                    "has_coarse": torch.tensor([prompt.has_coarse for prompt in prompts]),
                    "draws": torch.from_numpy(rng.random((len(prompts), POINT_DRAWS, 2), np.float32)),
                    "problems": problems,
                }
            wanted = None
        last = problems[-1] if problems else "crops keep losing the object"
        raise HqsamError(f"{MOST_DRAWS} pairs in a row were of no use, the last: {last}; check --data")


def collated(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Samples as one batch: N images, what belongs to their N K prompts in one row each, and all problems."""
    problems = [text for sample in samples for text in sample.pop("problems")]
    batch = default_collate(samples)
    return {name: x if name == "image" else x.flatten(0, 1) for name, x in batch.items()} | {"problems": problems}


class RecipeSource:
    """The paper's samples: each pair once an epoch in random order, large-scale jitter, a flip, one of three prompts.

    A set's weight is how often each of its pairs comes in an epoch: 2 twice, 0.5 a random half of them. What is
    left of an epoch after its last whole batch is dropped, as the authors do; it is another part each time.

    Unlike in the authors' code, a crop that lost the object is drawn again, so there are no boxes of empty masks.

    Args:
        folders: the sets.
        size: side S of the frame in pixels.
        batch: samples a step, of all processes together.
        seed: of the order.

    Raises:
        HqsamError: there are fewer pairs than make a batch.
    """

    def __init__(self, folders: list[PairFolder], size: int, batch: int, seed: int) -> None:
        self.pairs = [pair for folder in folders for pair in folder.pairs]
        self.parts = [(len(folder.pairs), max(1, round(folder.weight * len(folder.pairs)))) for folder in folders]
        self.size = size
        self.seed = seed
        self.steps_per_epoch = sum(wanted for _, wanted in self.parts) // batch
        self.epoch_length = self.steps_per_epoch * batch
        self.order: tuple[int, np.ndarray] | None = None
        if not self.epoch_length:
            raise HqsamError(f"{len(self.pairs)} pairs do not make a batch of {batch}: lower --batch-size")

    def drawn(self, rng: np.random.Generator, number: int | None) -> Drawn | None:
        """See `Source`."""
        index = int(rng.integers(len(self.pairs))) if number is None else self._place(number)
        image, mask = read_pair(*self.pairs[index])
        for _ in range(MOST_CROPS):
            frame, target = large_scale_jittered(rng, image, mask, self.size)
            if (target > 127).any():
                return frame, [target], [recipe_prompt(rng, target)]
        return None

    def _place(self, number: int) -> int:
        """The pair of a sample."""
        epoch, place = divmod(number, self.epoch_length)
        if self.order is None or self.order[0] != epoch:
            self.order = epoch, self._epoch_order(np.random.default_rng((self.seed, epoch, EPOCH_ORDER)))
        return int(self.order[1][place])

    def _epoch_order(self, rng: np.random.Generator) -> np.ndarray:
        chosen, first = [], 0
        for count, wanted in self.parts:
            rounds, rest = divmod(wanted, count)
            own = np.arange(first, first + count)
            chosen += [own] * rounds + [rng.choice(own, rest, replace=False)]
            first += count
        return rng.permutation(np.concatenate(chosen))


class CompositeSource:
    """Samples for a small model that learns SAM's task from little: strong augmentation, composites, mosaics.

    Args:
        folders: sets to draw from, a set's weight being its share of the samples.
        size: side S of the frame in pixels.
        mix: how often each kind of prompt is drawn.
        augment: strength of the augmentation.
        prompts: number of prompts an image. They cost little beside the image encoder. Where there are fewer
            objects, an object is asked for in several ways.
    """

    def __init__(
        self, folders: list[PairFolder], size: int, mix: PromptMix, augment: AugmentConfig, prompts: int = 1
    ) -> None:
        self.folders = folders
        self.size = size
        self.mix = mix
        self.augment = augment
        self.prompts = prompts
        weights = np.array([f.weight for f in folders])
        self.shares = weights / weights.sum()

    def drawn(self, rng: np.random.Generator, number: int | None) -> Drawn | None:
        """See `Source`; every pair is drawn at random."""
        image, mask = self._pair(rng)
        if rng.random() < self.augment.component:
            mask = one_component(rng, mask)
        masks = [mask]
        if rng.random() < self.augment.mosaic:
            image, masks = mosaic(rng, image, mask, [self._pair(rng) for _ in range(3)])
        if rng.random() < self.augment.composite:
            others = [self._pair(rng) for _ in range(int(rng.integers(1, self.augment.pastes + 1)))]
            image, masks = composited(rng, image, masks, others, self.augment.paste)
        if not masks:
            return None
        masks = [masks[i] for i in rng.permutation(len(masks))[: self.prompts]]
        image, masks = framed(rng, color_jittered(rng, image, self.augment), masks, self.size, self.augment)
        if not masks:
            return None
        masks = [masks[i % len(masks)] for i in range(self.prompts)]
        return image, [mask * np.uint8(255) for mask in masks], [sampled_prompt(rng, m, self.mix) for m in masks]

    def _pair(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """A random image (H, W, 3) RGB and its mask, uint8 0 / 1 (H, W), flipped half of the time."""
        folder = self.folders[rng.choice(len(self.folders), p=self.shares)]
        image, mask = read_pair(*folder.pairs[rng.integers(len(folder.pairs))])
        if rng.random() < 0.5:
            image, mask = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
        return image, mask


class Steps(Sampler[list[int]]):
    """Numbers of the samples of steps `first` to `last`, those of one of `size` processes.

    Args:
        batch: samples a step of one process.
        rank: which process.
    """

    def __init__(self, first: int, last: int, batch: int, rank: int = 0, size: int = 1) -> None:
        self.first, self.last, self.batch, self.rank, self.size = first, last, batch, rank, size

    def __iter__(self) -> Iterator[list[int]]:
        for step in range(self.first, self.last):
            begin = (step * self.size + self.rank) * self.batch
            yield list(range(begin, begin + self.batch))

    def __len__(self) -> int:
        return self.last - self.first


def on_device(batch: dict[str, Any], device: torch.device) -> dict[str, Tensor]:
    """The tensors of a batch on a device."""
    return {key: value.to(device, non_blocking=True) for key, value in batch.items() if isinstance(value, Tensor)}
