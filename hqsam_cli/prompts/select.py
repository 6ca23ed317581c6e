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
    """Selection by score and count; prompts without a score rank first.

    Attributes:
        score_threshold: prompts with a lower score are dropped; those without a score are kept.
        max_det: maximum number of prompts per image, the best ones.
    """

    score_threshold: float | None = None
    max_det: int | None = None

    def best(self, prompts: Sequence[AnyPrompt]) -> list[AnyPrompt]:
        """The selected prompts, in input order."""
        threshold = -math.inf if self.score_threshold is None else self.score_threshold
        scores = [math.inf if prompt.score is None else prompt.score for prompt in prompts]
        kept = set(sorted(range(len(prompts)), key=lambda place: -scores[place])[: self.max_det])
        return [p for place, p in enumerate(prompts) if place in kept and scores[place] >= threshold]

    def number(self, file_name: str, found: Sequence[Prompt]) -> list[Prompt]:
        """Select detections of an image, and assign ids."""
        return self.best([replace(prompt, annotation_id=n) for n, prompt in enumerate(found, first_id(file_name))])

    def number_masks(self, file_name: str, found: Sequence[Instance]) -> list[Instance]:
        """Select masks without a prompt from a file, and assign ids."""
        numbered = enumerate(found, first_id(file_name))
        own = {n: replace(instance, prompt=replace(instance.prompt, annotation_id=n)) for n, instance in numbered}
        scored = [replace(instance.prompt, score=instance.score) for instance in own.values()]
        return [own[prompt.annotation_id] for prompt in self.best(scored)]


def hash_id(file_name: str) -> int:
    """Image id from a name: 52 bits of its SHA-256, exact as a JSON number."""
    return hash_number(os.fsencode(file_name)) >> 12


def first_id(file_name: str) -> int:
    """First id of the prompts of an image without ids of their own.

    Ids depend only on the name of the image and the index of the prompt, so they do not change with other images. Half
    the range of image ids, so that three times an id is still exact in JSON.
    """
    return hash_id(file_name) // 2 + 1
