"""One object an image: the four sets of the paper, BIG, and any folder of photos and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..configs import DEFAULT_MAX_PIXELS, MaskOutput
from ..data.pairs import Pair, check_not_empty, check_same_size, read_pair
from ..errors import ImageError
from ..io.masks import THRESHOLD, read_mask_values
from ..records import Prompt
from .clicks import click_ious
from .metrics import boundary_iou, score
from .pictures import Comparison
from .prompts import PromptRule, draw_prompt, random_generator
from .protocols import Evaluator, PreparedImage
from .refine import REFINED, RefineMask
from .runner import Record


@dataclass(frozen=True, slots=True)
class LoadedPair:
    """A photo and its masks.

    Attributes:
        image: uint8 RGB (H, W, 3).
        values: of the mask file, uint8 0 to 255 (H, W); `gt` is where they are over 128, bool.
        coarse: values of the coarse mask, where one is asked for.
    """

    image: np.ndarray
    values: np.ndarray
    gt: np.ndarray
    coarse: np.ndarray | None


class MaskSetScorer:
    """Scores of pairs under prompts drawn by rules.

    Args:
        rules: one row of results each; `clicks` alone, if at all.
        ratios: widths of the boundary to score for a curve, as shares of the diagonal.
        seed: of everything drawn, with the name of the image.
        refine: makes one more row, SAM's masks after refinement.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        rules: Sequence[PromptRule],
        *,
        ratios: Sequence[float] = (),
        seed: int = 0,
        refine: RefineMask | None = None,
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> None:
        self.evaluator = evaluator
        self.rules = rules
        self.ratios = ratios
        self.seed = seed
        self.refine = refine
        self.max_pixels = max_pixels

    @property
    def outputs(self) -> tuple[str, ...]:
        """The rows of each rule."""
        return (*self.evaluator.outputs, *((REFINED,) if self.refine else ()))

    def loaded(self, pair: Pair) -> LoadedPair:
        """Read a pair; an ImageError names what is wrong with it."""
        image, values = read_pair(pair, self.max_pixels)
        if not self.evaluator.to_prompt_pixels(values).any():
            raise ImageError("nothing of the mask is left at the model's input size", file=pair.mask)
        coarse = None
        if any(rule.kind == "mask" for rule in self.rules):
            if pair.coarse is None:
                raise ImageError("has no coarse mask", file=pair.image, remedy="give their folder as `coarse_masks`")
            coarse = read_mask_values(pair.coarse)
            check_not_empty(pair.coarse, coarse)
            check_same_size(pair.coarse, coarse, image)
        return LoadedPair(image, values, values > THRESHOLD, coarse)

    def record(self, pair: Pair, loaded: LoadedPair) -> Record:
        """`scores`, by mask output and rule, lists over trials of `METRICS` by name; `curves`, likewise, of the
        boundary IoU at each of `ratios`; `clicks`, by mask output, the IoU after each click.
        """
        photo = self.evaluator.prepare(loaded.image)
        rng = random_generator(self.seed, pair.name)
        record: Record = {"scores": {output: {} for output in self.outputs}, "curves": {}, "clicks": {}}
        for rule in self.rules:
            if rule.kind == "clicks":
                for output in self.evaluator.outputs:

                    def mask_of(prompt: Prompt, output: MaskOutput = output) -> np.ndarray:
                        return self.evaluator.masks(photo, [prompt], [output])[output][0][0]

                    record["clicks"][output] = click_ious(mask_of, loaded.gt)
                continue
            prompts = self.prompts(rule, loaded, rng)
            for row, masks in self.masks(photo, loaded.image, prompts).items():
                record["scores"][row][rule.label] = [score(mask, loaded.gt) for mask in masks]
                if self.ratios:
                    curves = [[boundary_iou(mask, loaded.gt, ratio) for ratio in self.ratios] for mask in masks]
                    record["curves"].setdefault(row, {})[rule.label] = curves
        return record

    def comparison(self, pair: Pair) -> Comparison:
        """A pair beside the masks of its first prompt."""
        loaded, rule = self.loaded(pair), self.rules[0]
        compared = Comparison(loaded.image, [loaded.gt])
        if rule.kind != "clicks":
            photo = self.evaluator.prepare(loaded.image)
            prompts = self.prompts(rule, loaded, random_generator(self.seed, pair.name))
            made = self.masks(photo, loaded.image, prompts)
            compared.outputs.update((output, masks[:1]) for output, masks in made.items())
        return compared

    def masks(self, photo: PreparedImage, image: np.ndarray, prompts: list[Prompt]) -> dict[str, list[np.ndarray]]:
        """Masks of the prompts, bool (H, W), by row."""
        made: dict[str, list[np.ndarray]] = {o: masks for o, (masks, _) in self.evaluator.masks(photo, prompts).items()}
        if self.refine is not None:
            made[REFINED] = [self.refine(image, mask) for mask in made["sam"]]
        return made

    def prompts(self, rule: PromptRule, loaded: LoadedPair, rng: np.random.Generator) -> list[Prompt]:
        """The prompts of a rule's trials, in the pixels of the protocol."""
        gt = self.evaluator.to_prompt_pixels(loaded.values)
        coarse = None if loaded.coarse is None else self.evaluator.to_prompt_pixels(loaded.coarse)
        inclusive = self.evaluator.protocol == "paper"
        return [draw_prompt(rule, gt, rng, inclusive=inclusive, coarse=coarse) for _ in range(rule.trials)]
