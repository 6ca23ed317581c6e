"""Training samples from what a teacher saw, see `teacher.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from ..errors import NoInputError
from ..models.sam import EMBED_DIM
from .data import PromptedMasks
from .prompts import PromptMix, sampled_prompt
from .teacher import Objects, lesson_paths, read_frame

STRIDE, COARSEST = 16, 32  # of the embedding, and of the student's features: crops lie on its grid


def lesson_numbers(folder: Path) -> list[int]:
    """Numbers of the frames in a folder, sorted.

    Raises:
        NoInputError: there is none.
    """
    numbers = sorted(int(path.stem) for path in folder.glob("*.npy"))
    if not numbers:
        raise NoInputError(f"{folder}: nothing that a teacher saw; fill it with python -m hqsam_cli.training.teacher")
    return numbers


def read_objects(folder: Path, number: int) -> Objects:
    """The objects of a frame."""
    with np.load(lesson_paths(folder, number)[1]) as packed:
        return Objects(np.unpackbits(packed["masks"], axis=-1).astype(bool), packed["truth"])


def _count(folder: Path, number: int) -> int:
    """How many objects a frame has."""
    with np.load(lesson_paths(folder, number)[1]) as packed:
        return len(packed["truth"])


def read_embedding(folder: Path, number: int) -> np.ndarray:
    """The teacher's embedding, float16 (S / 16, S / 16, 256), read where it is looked at."""
    return np.load(lesson_paths(folder, number)[2], mmap_mode="r")


class EmbeddingCrops(Dataset[dict[str, Any]]):
    """Square crops of frames with the teacher's embedding of their place.

    An item holds `image` uint8 (3, size, size), `embedding` float16 (1, size / 16, size / 16, 256) and no `problems`.
    The student is made of convolutions, so it learns from a part what it needs for the whole, at a part of the cost.
    """

    def __init__(self, folder: Path, size: int, seed: int) -> None:
        self.folder, self.size, self.seed = folder, size, seed
        self.numbers = lesson_numbers(folder)

    def __getitem__(self, number: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, number))
        chosen = self.numbers[rng.integers(len(self.numbers))]
        frame = read_frame(lesson_paths(self.folder, chosen)[0])
        y, x = COARSEST * rng.integers((len(frame) - self.size) // COARSEST + 1, size=2)
        image = frame[y : y + self.size, x : x + self.size]
        rows, columns = (slice(first // STRIDE, (first + self.size) // STRIDE) for first in (y, x))
        return {
            "image": torch.from_numpy(image.copy()).permute(2, 0, 1),
            "embedding": torch.from_numpy(read_embedding(self.folder, chosen)[rows, columns].copy())[None],
            "problems": [],
        }


class Lessons(Dataset[dict[str, Any]]):
    """Whole frames with the teacher's embedding and K objects, each asked for with a prompt.

    An item is like one of `PromptedMasks`, with `embedding` as in `EmbeddingCrops`, masks at a quarter of the frame,
    and `taught`, which is true. Half of the objects are those of the data, as far as there are both kinds.
    """

    def __init__(self, folder: Path, prompts: int, mix: PromptMix, seed: int) -> None:
        self.folder, self.prompts, self.mix, self.seed = folder, prompts, mix, seed
        self.numbers = [number for number in lesson_numbers(folder) if _count(folder, number)]

    def __getitem__(self, number: int) -> dict[str, Any]:
        rng = np.random.default_rng((self.seed, number))
        chosen = self.numbers[rng.integers(len(self.numbers))]
        objects = read_objects(self.folder, chosen)
        frame = read_frame(lesson_paths(self.folder, chosen)[0])
        masks = objects.masks[self._drawn_objects(rng, objects.truth)].astype(np.uint8)
        whole = [cv2.resize(mask, frame.shape[:2], interpolation=cv2.INTER_NEAREST) for mask in masks]
        prompts = [sampled_prompt(rng, mask, self.mix) for mask in whole]
        return {
            "image": torch.from_numpy(frame).permute(2, 0, 1),
            "embedding": torch.from_numpy(read_embedding(self.folder, chosen).copy())[None],
            "taught": torch.tensor([True]),
            "mask": torch.from_numpy(masks * np.uint8(255)),
            "points": torch.from_numpy(np.stack([prompt.points for prompt in prompts])),
            "labels": torch.from_numpy(np.stack([prompt.labels for prompt in prompts])),
            "coarse": torch.from_numpy(np.stack([prompt.coarse for prompt in prompts]))[:, None],
            "has_coarse": torch.tensor([prompt.has_coarse for prompt in prompts]),
            "problems": [],
        }

    def _drawn_objects(self, rng: np.random.Generator, truth: np.ndarray) -> np.ndarray:
        """Indices of `prompts` objects; where there are fewer, some come again."""
        kinds = [rng.permutation(np.flatnonzero(truth == kind)) for kind in (True, False)]
        kinds = [np.resize(kind, self.prompts) for kind in kinds if len(kind)]
        return np.stack(kinds, axis=1).ravel()[: self.prompts]


class LessonsAndPhotos(Dataset[dict[str, Any]]):
    """Lessons and augmented photos in turn, so a batch of an even size has as many of each.

    A photo's item is like a lesson's, with the masks of the data alone, their edges soft, so that what is thinner
    than a pixel of them is not lost. No teacher saw it: `taught` is false, and its `embedding` zeros.
    """

    def __init__(self, lessons: Lessons, photos: PromptedMasks) -> None:
        self.lessons, self.photos = lessons, photos

    def __getitem__(self, number: int) -> dict[str, Any]:
        if number % 2 == 0:
            return self.lessons[number // 2]
        photo = self.photos[number // 2]
        side = photo["image"].shape[-1]
        masks = [
            cv2.resize(mask, (side // 4, side // 4), interpolation=cv2.INTER_AREA) for mask in photo["mask"].numpy()
        ]
        photo["mask"] = torch.from_numpy(np.stack(masks))
        photo["embedding"] = torch.zeros(1, side // STRIDE, side // STRIDE, EMBED_DIM, dtype=torch.float16)
        photo["taught"] = torch.tensor([False])
        del photo["draws"]
        return photo
