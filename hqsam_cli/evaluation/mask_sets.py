"""Datasets with one object per image: the paper's four sets, BIG, and folders of images and masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from ..configs import MaskOutput
from ..data.pairs import Pair, check_mask, read_pair
from ..errors import ImageError
from ..io.masks import is_foreground, read_mask_values
from ..modeling.overlap import iou
from ..records import Prompt
from .metrics import METRICS, boundary_iou, score
from .plots import Comparison
from .prompts import CLICKS, TARGETS, PromptRule, clicks_until, draw_prompt, next_click, random_generator
from .protocols import Masks, PreparedImage
from .refine import REFINED, RefineMask
from .rows import Row, Samples, select_scores, summarize
from .scores import ImageScores, Metrics, Score, Task

BOUNDARY_RATIOS = (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)  # boundary widths of the curve, as fractions of the diagonal


class LoadedPair(NamedTuple):
    """An image, uint8 RGB (H, W, 3), and its mask, bool (H, W).

    Prompts are sampled from `prompt_mask`, bool, in the protocol's pixel coordinates, as is the coarse mask, if any.
    """

    image: np.ndarray
    gt: np.ndarray
    prompt_mask: np.ndarray
    coarse: np.ndarray | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskSet(Task[Pair, LoadedPair]):
    """Evaluation on image and mask pairs, with prompts sampled from the mask by `rules`, `seed` and the image name.

    `curves` adds scores at several boundary widths; `refine` adds rows for refined SAM masks.
    """

    rules: Sequence[PromptRule]
    seed: int = 0
    curves: bool = False
    refine: RefineMask | None = None

    def load(self, item: Pair) -> LoadedPair:
        """See `Task`."""
        image, values = read_pair(item)
        gt = is_foreground(values)
        prompt_mask = self.evaluator.to_prompt_pixels(values) if self.evaluator.protocol == "paper" else gt
        if not prompt_mask.any():
            raise ImageError("the mask is empty at the model's input size", file=item.mask)
        coarse = None
        if any(rule.kind == "mask" for rule in self.rules):
            if item.coarse is None:
                raise ImageError("has no coarse mask", file=item.image, remedy="pass their folder as `coarse_masks`")
            coarse = read_mask_values(item.coarse)
            check_mask(item.coarse, coarse, image)
            coarse = self.evaluator.to_prompt_pixels(coarse)
        return LoadedPair(image, gt, prompt_mask, coarse)

    def score(self, item: Pair, loaded: LoadedPair) -> ImageScores:
        """See `Task`."""
        prepared = self.evaluator.prepare(loaded.image)
        rng = random_generator(self.seed, item.name)
        found: list[Score] = []
        for rule in self.rules:
            if rule.kind == "clicks":
                for output in self.evaluator.outputs:
                    ious, mask = self._clicks(output, loaded.gt, prepared)
                    found.append(Score(rule.label, output, [{"IoU": ious[-1]}], ious, int(not mask.any())))
                continue
            for row, (masks, estimates) in self._masks(rule, loaded, prepared, rng).items():
                trials = [score(mask, loaded.gt) for mask in masks]
                means = {name: float(np.mean([own[name] for own in trials])) for name in METRICS}
                widths = [[boundary_iou(mask, loaded.gt, r) for r in BOUNDARY_RATIOS] for mask in masks if self.curves]
                curve = np.mean(widths, axis=0).tolist() if widths else []
                empty = sum(not mask.any() for mask in masks)
                predicted_iou = [float(np.mean(estimates))] if estimates else []
                found.append(Score(rule.label, row, [means], curve, empty, predicted_iou))
        return ImageScores(item.name, sorted(found, key=lambda own: self.outputs.index(own.mask_output)))

    def _masks(
        self, rule: PromptRule, loaded: LoadedPair, prepared: PreparedImage, rng: np.random.Generator
    ) -> dict[str, Masks]:
        """Masks for each trial of a rule, by mask output; refined masks have no predicted IoUs."""
        inclusive = self.evaluator.protocol == "paper"
        prompts = [
            draw_prompt(rule, loaded.prompt_mask, rng, inclusive=inclusive, coarse=loaded.coarse)
            for _ in range(rule.trials)
        ]
        found: dict[str, Masks] = dict(self.evaluator.masks(prepared, prompts).items())
        if self.refine is not None:
            found[REFINED] = [self.refine(loaded.image, mask) for mask in found["sam"][0]], []
        return found

    def _clicks(self, output: MaskOutput, gt: np.ndarray, prepared: PreparedImage) -> tuple[list[float], np.ndarray]:
        """IoU after each of `CLICKS` clicks, each at the center of the largest error region, and the last mask."""
        mask, not_clicked = np.zeros_like(gt), np.ones(gt.shape, np.float32)
        clicks: list[tuple[int, int, int]] = []
        ious = []
        for _ in range(CLICKS):
            clicks.append(next_click(mask, gt, not_clicked))
            prompt = Prompt(1, points=np.array(clicks, float))
            ((mask,), _) = self.evaluator.masks(prepared, [prompt], [output])[output]
            ious.append(iou(mask, gt))
        return ious, mask

    @property
    def outputs(self) -> tuple[str, ...]:
        """Mask outputs, including refined masks."""
        return (*self.evaluator.outputs, *((REFINED,) if self.refine else ()))

    def rows(self, images: Sequence[ImageScores]) -> list[Row]:
        """See `Task`: means over images."""
        made = []
        for rule, output in product(self.rules, self.outputs):
            scores = select_scores(images, rule.label, output)
            curves = [score.curve for score in scores.values() if score.curve]
            heights = (100 * np.mean(curves, axis=0)).tolist() if curves else []
            x: list[float] = list(BOUNDARY_RATIOS)
            samples: dict[str, Samples] = {}
            if rule.kind == "clicks":
                figures, x = click_figures(curves), [float(n) for n in range(1, CLICKS + 1)]
            else:
                figures, samples = summarize(scores)
            if rule.kind == "points" and scores:
                x, heights = [float(rule.inside + rule.outside)], [figures["mIoU"]]
            curve = {"x": x, "y": heights} if heights else {}
            made.append(Row(self.key, rule.label, output, len(scores), figures, curve=curve, samples=samples))
        return made

    def comparison(self, item: Pair) -> Comparison:
        """Return an image with its ground truth and the masks of its first prompt."""
        loaded, rule = self.load(item), self.rules[0]
        outputs: dict[str, list[np.ndarray]] = {}
        if rule.kind != "clicks":
            prepared = self.evaluator.prepare(loaded.image)
            masks = self._masks(rule, loaded, prepared, random_generator(self.seed, item.name))
            outputs = {output: own[:1] for output, (own, _) in masks.items()}
        return Comparison(loaded.image, [loaded.gt], outputs)


def click_figures(ious: Sequence[Sequence[float]]) -> Metrics:
    """NoC at each target IoU, and the number of objects below 90 after the last click, as in RITM."""
    if not ious:
        return {}
    clicks = {target: [clicks_until(own, target) for own in ious] for target in TARGETS}
    figures = {f"NoC@{target:.0%}".rstrip("%"): float(np.mean(numbers)) for target, numbers in clicks.items()}
    return {**figures, f">={CLICKS}@90": float(sum(number >= CLICKS for number in clicks[TARGETS[-1]]))}
