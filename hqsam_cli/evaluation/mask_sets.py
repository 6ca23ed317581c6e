"""One object an image: the four sets of the paper, BIG, and any folder of photos and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..data.sets import MaskPair
from ..data.truth import check_same_size, mask_values, thresholded
from ..errors import ImageError
from ..io.images import DEFAULT_MAX_PIXELS, decoded_image
from ..records import Prompt
from .clicks import click_ious
from .metrics import DILATION_RATIO, boundary_iou, iou
from .prompts import PromptRule, drawn_prompt, random_generator
from .protocols import Evaluator, PreparedImage
from .refine import REFINED, RefineMask
from .runner import Record


@dataclass(frozen=True, slots=True)
class LoadedPair:
    """A photo and its masks.

    Attributes:
        image: uint8 RGB (H, W, 3).
        values: of the mask file, uint8 0 to 255 (H, W); `truth` is where they are over 128, bool.
        coarse: values of the coarse mask, where one is asked for.
    """

    image: np.ndarray
    values: np.ndarray
    truth: np.ndarray
    coarse: np.ndarray | None


class MaskSetScorer:
    """Scores of pairs under prompts drawn by rules.

    Args:
        rules: one row of results each; `clicks` alone, if at all.
        ratios: widths of the boundary to score beside 0.02, as shares of the diagonal.
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

    def loaded(self, pair: MaskPair) -> LoadedPair:
        """Read a pair; an ImageError names what is wrong with it."""
        # A mask is as its photo is stored; what a viewer would turn, both of them would turn.
        image = decoded_image(str(pair.image), exif="ignore", max_pixels=self.max_pixels)
        values = mask_values(pair.mask)
        truth = thresholded(pair.mask, values)
        check_same_size(pair.mask, truth, image)
        if not self.evaluator.in_prompt_frame(values).any():
            raise ImageError(f"{pair.mask}: nothing of the mask is left at the size of the model's frame")
        coarse = None
        if any(rule.kind == "mask" for rule in self.rules):
            if pair.coarse is None:
                raise ImageError(f"{pair.image}: has no coarse mask; give their folder as --coarse-masks")
            coarse = mask_values(pair.coarse)
            thresholded(pair.coarse, coarse)  # for its errors: an empty prompt, or one of 0 and 1, prompts nothing
            check_same_size(pair.coarse, coarse, image)
        return LoadedPair(image, values, truth, coarse)

    def record(self, pair: MaskPair, loaded: LoadedPair) -> Record:
        """Scores by mask output and rule: lists over trials of IoU, boundary IoU and those of `ratios`.

        Under `clicks` the IoU after each click instead.
        """
        photo = self.evaluator.prepared(loaded.image)
        rng = random_generator(self.seed, pair.name)
        scores: dict[str, dict[str, list[list[float]]]] = {output: {} for output in self.outputs}
        for rule in self.rules:
            if rule.kind == "clicks":
                for output in self.evaluator.outputs:
                    only = Evaluator(self.evaluator.model, "deploy", [output], dtype=self.evaluator.dtype)

                    def mask_of(prompt: Prompt, one: Evaluator = only) -> np.ndarray:
                        return one.masks(photo, [prompt])[one.outputs[0]][0][0]

                    scores[output][rule.label] = [click_ious(mask_of, loaded.truth)]
                continue
            prompts = self.prompts(rule, loaded, rng)
            for row, masks in self.masks(photo, loaded.image, prompts).items():
                scores[row][rule.label] = [self._scores(mask, loaded.truth) for mask in masks]
        return {"scores": scores}

    def masks(self, photo: PreparedImage, image: np.ndarray, prompts: list[Prompt]) -> dict[str, list[np.ndarray]]:
        """Masks of the prompts, bool (H, W), by row."""
        made: dict[str, list[np.ndarray]] = {o: masks for o, (masks, _) in self.evaluator.masks(photo, prompts).items()}
        if self.refine is not None:
            made[REFINED] = [self.refine(image, mask) for mask in made["sam"]]
        return made

    def prompts(self, rule: PromptRule, loaded: LoadedPair, rng: np.random.Generator) -> list[Prompt]:
        """The prompts of a rule's trials, in the frame of the protocol."""
        truth = self.evaluator.in_prompt_frame(loaded.values)
        coarse = None if loaded.coarse is None else self.evaluator.in_prompt_frame(loaded.coarse)
        inclusive = self.evaluator.protocol == "paper"
        return [drawn_prompt(rule, truth, rng, inclusive=inclusive, coarse=coarse) for _ in range(rule.trials)]

    def _scores(self, mask: np.ndarray, truth: np.ndarray) -> list[float]:
        ratios = (DILATION_RATIO, *self.ratios)
        return [iou(mask, truth), *(boundary_iou(mask, truth, ratio) for ratio in ratios)]
