"""Select the prompts of an image, and assign missing ids."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ..io.digest import hash_number
from ..records import Instance, Prompt, RawPrompt

AnyPrompt = TypeVar("AnyPrompt", Prompt, RawPrompt)


@dataclass(frozen=True, slots=True)
class Selection:
    """What the threshold and the number of boxes let through; no score beats any score.

    Attributes:
        score_threshold: prompts that score less are dropped; those without a score stay.
        max_det: only the best of an image are kept.
    """

    score_threshold: float | None = None
    max_det: int | None = None

    def best(self, prompts: Sequence[AnyPrompt]) -> list[AnyPrompt]:
        """Those that are kept, in their order."""
        threshold = -math.inf if self.score_threshold is None else self.score_threshold
        scores = [math.inf if prompt.score is None else prompt.score for prompt in prompts]
        kept = set(sorted(range(len(prompts)), key=lambda place: -scores[place])[: self.max_det])
        return [p for place, p in enumerate(prompts) if place in kept and scores[place] >= threshold]

    def number(self, file_name: str, found: Sequence[Prompt]) -> list[Prompt]:
        """What a detector found in an image, with ids, as far as it is let through."""
        return self.best([replace(prompt, annotation_id=n) for n, prompt in enumerate(found, first_id(file_name))])

    def number_masks(self, file_name: str, found: Sequence[Instance]) -> list[Instance]:
        """Masks that nobody asked for by a prompt of a file, with ids, as far as they are let through."""
        numbered = enumerate(found, first_id(file_name))
        own = {n: replace(instance, prompt=replace(instance.prompt, annotation_id=n)) for n, instance in numbered}
        scored = [replace(instance.prompt, score=instance.score) for instance in own.values()]
        return [own[prompt.annotation_id] for prompt in self.best(scored)]


def hash_id(file_name: str) -> int:
    """An image id for a name that has none: 52 bits of its SHA-256, which JSON numbers hold exactly."""
    return hash_number(os.fsencode(file_name)) >> 12


def first_id(file_name: str) -> int:
    """Where the ids of the prompts of an image begin that bring none of their own.

    They follow from the name of the image and the place of the prompt alone, so they stay what they are whatever
    happens to other images. Half of what image ids may be, so that three times as many still are exact in JSON.
    """
    return hash_id(file_name) // 2 + 1
