"""Training samples.

A sample is a pure function of the run's seed and of its number, so a run that was killed goes on with what it
would have seen, and several processes see together what one would have seen alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ..configs import Augmentation
from ..data.pairs import ImageMaskFolder, read_alpha, read_image_and_mask
from ..errors import HqsamError, ImageError
from .augment import (
    STRONG,
    color_jittered,
    composite,
    large_scale_jittered,
    mosaic,
    one_component,
    scaled_and_cropped,
)
from .encoding_cache import EncodingCache
from .losses import POINT_DRAWS
from .prompts import paper_prompt, varied_prompt

MOST_DRAWS = 50  # pairs tried for one view before the data is given up
MOST_CROPS = 20  # crops tried before another pair is taken
# These keep the random numbers of a sample's view, of its prompts, of an epoch's order, and of views that come
# again apart.
PROMPTS, EPOCH_ORDER, VIEW_ORDER = 1, 2, 3


class Drawn(NamedTuple):
    """An augmented image, uint8 (S, S, 3), and the masks of K objects in it, uint8 0 to 255, (S, S) each."""

    image: np.ndarray
    masks: list[np.ndarray]


class Samples(Dataset[dict[str, Any]]):
    """Augmented images with P prompts each.

    An item holds `number`, that of its view; `image`, uint8 (3, S, S), or `encoded`, what the cache has of it;
    `objects`, bool (K, S, S), all masks of the view; of its prompts `mask`, uint8 0 to 255 (P, S, S), `points`
    (P, T, 2), `labels` (P, T), `coarse` float (P, 1, S / 4, S / 4), 0 / 255, with `has_coarse` (P,), and `draws`
    (P, POINT_DRAWS, 2), the random numbers of the point loss; `pick`, a random number for whoever has to choose
    something of this sample; and `problems`, a line for each file that had to be skipped.

    Args:
        source: where views come from.
        prompts: P. Where there are fewer objects, an object is asked for in several ways.
        cache: views that come again and again; None makes a new one for each sample.
    """

    def __init__(self, source: AugmentedPairs, seed: int, prompts: int = 1, cache: EncodingCache | None = None) -> None:
        self.source, self.seed, self.prompts, self.cache = source, seed, prompts, cache

    def __getitem__(self, number: int) -> dict[str, Any]:
        view = self._view_number(number)
        rng = np.random.default_rng((self.seed, number, PROMPTS))
        encoded = None if self.cache is None else self.cache.read(view)
        item: dict[str, Any] = {"number": view, "encoded": encoded, "pick": float(rng.random()), "problems": []}
        if encoded is None:
            image, masks = self._new_view(view, item["problems"])
            item["image"] = torch.from_numpy(image).permute(2, 0, 1)
            item["objects"] = np.stack([mask > 127 for mask in masks])
        if self.cache is not None:  # which keeps bits, so a new view is seen without its soft edges too
            objects = item["objects"] if encoded is None else encoded.objects
            masks = [mask.astype(np.uint8) * np.uint8(255) for mask in objects]
        order = rng.permutation(len(masks))
        chosen = [masks[order[i % len(masks)]] for i in range(self.prompts)]
        draw_prompt = paper_prompt if self.source.augmentation == "paper" else varied_prompt
        prompts = [draw_prompt(rng, mask) for mask in chosen]
        return item | {
            "mask": torch.from_numpy(np.stack(chosen)),
            "points": torch.from_numpy(np.stack([prompt.points for prompt in prompts])),
            "labels": torch.from_numpy(np.stack([prompt.labels for prompt in prompts])),
            "coarse": torch.from_numpy(np.stack([prompt.coarse for prompt in prompts]))[:, None],
            "has_coarse": torch.tensor([prompt.has_coarse for prompt in prompts]),
            "draws": torch.from_numpy(rng.random((len(prompts), POINT_DRAWS, 2), np.float32)),
        }

    def _view_number(self, number: int) -> int:
        """Which view a sample shows: its own, or, of a cache, each once before any comes again."""
        if self.cache is None or number < self.cache.images:
            return number
        turn, place = divmod(number, self.cache.images)
        return int(np.random.default_rng((self.seed, turn, VIEW_ORDER)).permutation(self.cache.images)[place])

    def _new_view(self, number: int, problems: list[str]) -> Drawn:
        rng = np.random.default_rng((self.seed, number))
        wanted: int | None = number
        for _ in range(MOST_DRAWS):
            try:
                drawn = self.source.draw(rng, wanted)
            except ImageError as error:
                drawn = None
                problems.append(str(error))
            if drawn is not None:
                return drawn
            wanted = None
        last = problems[-1] if problems else "crops keep losing the object"
        raise HqsamError(f"{MOST_DRAWS} pairs in a row were of no use, the last: {last}", remedy="check `data`")


def collate(samples: list[dict[str, Any]]) -> dict[str, Any]:
    """Samples as one batch: what belongs to their N P prompts in one row each, lists of what belongs to a view."""
    own = ("mask", "points", "labels", "coarse", "has_coarse", "draws")
    rows: dict[str, Any] = {name: torch.cat([sample[name] for sample in samples]) for name in own}
    views = {name: [sample.get(name) for sample in samples] for name in ("number", "encoded", "pick", "image")}
    objects = [sample.get("objects") for sample in samples]
    return {**rows, **views, "objects": objects, "problems": [text for s in samples for text in s["problems"]]}


class AugmentedPairs:
    """Augmented images of pairs: each pair once an epoch in random order.

    A set's weight is how often each of its pairs comes in an epoch: 2 twice, 0.5 a random half of them. What is
    left of an epoch after its last whole batch is dropped, as the authors do; it is another part each time.

    Unlike in the authors' code, a crop that lost the object is drawn again, so there are no boxes of empty masks.

    Args:
        folders: the sets.
        size: the model's input size S in pixels.
        batch: samples a step, of all processes together.
        seed: of the order.
        augmentation: `paper` is HQ-SAM's large-scale jitter and a flip; `strong` scales less widely and adds colors,
            mosaics, single parts of masks, and alpha mattes on other photos.

    Raises:
        HqsamError: there are fewer pairs than make a batch.
    """

    def __init__(
        self, folders: list[ImageMaskFolder], size: int, batch: int, seed: int, augmentation: Augmentation = "paper"
    ) -> None:
        self.pairs = [pair for folder in folders for pair in folder.pairs]
        self.photos = [pair for pair in self.pairs if pair.alpha is None] or self.pairs
        self.parts = [(len(folder.pairs), max(1, round(folder.weight * len(folder.pairs)))) for folder in folders]
        self.size, self.seed, self.augmentation = size, seed, augmentation
        self.steps_per_epoch = sum(wanted for _, wanted in self.parts) // batch
        self.epoch_length = self.steps_per_epoch * batch
        self.order: tuple[int, np.ndarray] | None = None
        if not self.epoch_length:
            raise HqsamError(f"{len(self.pairs)} pairs do not make a batch of {batch}", remedy="lower `batch_size`")

    def draw(self, rng: np.random.Generator, number: int | None) -> Drawn | None:
        """The view of a sample, or None if the draw was of no use.

        Args:
            number: which sample; None for any, where that one turned out to be of no use.

        Raises:
            ImageError: a file was of no use.
        """
        index = int(rng.integers(len(self.pairs))) if number is None else self._place(number)
        if self.augmentation == "strong":
            return self._strong(rng, index)
        image, mask = read_image_and_mask(self.pairs[index])
        for _ in range(MOST_CROPS):
            square, target = large_scale_jittered(rng, image, mask, self.size)
            if (target > 127).any():
                return Drawn(square, [target])
        return None

    def _strong(self, rng: np.random.Generator, index: int) -> Drawn | None:
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
        return Drawn(image, [found * np.uint8(255) for found in masks]) if masks else None

    def _flipped(self, rng: np.random.Generator, index: int) -> tuple[np.ndarray, np.ndarray]:
        """An image (H, W, 3) RGB and its mask, uint8 0 / 1 (H, W), flipped half of the time; mattes on other photos."""
        pair = self.pairs[index]
        image, mask = read_image_and_mask(pair)
        if pair.alpha is not None and rng.random() < STRONG.composite:
            background, _ = read_image_and_mask(self.photos[rng.integers(len(self.photos))])
            image, mask = composite(rng, image, read_alpha(pair.alpha, image), background)
        if rng.random() < 0.5:
            image, mask = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(mask[:, ::-1])
        return image, mask

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


def to_device(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """A batch whose tensors are on a device; those of views follow when they are needed."""
    return {key: x.to(device, non_blocking=True) if isinstance(x, Tensor) else x for key, x in batch.items()}
