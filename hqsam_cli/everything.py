"""Masks of everything in an image: a grid of points, and of what they find the sure, stable and different masks.

The steps and their order are those of SAM's automatic mask generator (SAM, appendix B), so the masks are the same. Of
what a score rejects no mask is ever made, and the others are brought to the size of the photo only around the mask.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from .configs import EverythingConfig, MaskOutput
from .modeling.sam import MaskChoice
from .predictor import Predictor
from .records import Instance, MaskCrop, Prompt
from .regions import drop_parts
from .transforms import ResizeLongestSide
from .upsample import LogitCrop, logit_crops

EDGE = 20.0  # pixels from the border of a crop, within which a mask counts as cut off

CropBox = tuple[int, int, int, int]  # x0, y0, x1, y1


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A mask that passed its scores: its box with both ends inside, in pixels of the image, and the crop it is from."""

    instance: Instance
    box: tuple[int, int, int, int]
    crop: CropBox


def choice_at_points(mask_output: MaskOutput) -> MaskChoice:
    """Of the three masks at a point the authors of HQ-SAM take the best, those of SAM all."""
    return "all" if mask_output == "sam" else "best"


class MaskGenerator:
    """Finds everything in images.

    Args:
        predictor: its `choice` is that of `choice_at_points`.
    """

    def __init__(self, predictor: Predictor, config: EverythingConfig) -> None:
        self.predictor, self.config = predictor, config

    def generate(self, images: Sequence[np.ndarray]) -> list[list[Instance]]:
        """Instances of each image, RGB uint8 (H, W, 3), surest first within a crop.

        Their prompts are the points; `more` has the authors' `point_coords`, `stability_score` and `crop_box`.
        """
        if len(images) > 1 and self.predictor.on_cpu:  # see `Predictor.predict_batch`
            return [self.generate([image])[0] for image in images]
        places = [(n, box, layer) for n, image in enumerate(images) for box, layer in self._crops(image)]
        found: list[list[list[_Candidate]]] = [[] for _ in images]
        for start in range(0, len(places), len(images)):
            group = places[start : start + len(images)]
            for (n, _, _), own in zip(group, self._in_crops(images, group), strict=True):
                found[n].append(self._distinct(own))
        return [self._joined(own) for own in found]

    def _distinct(self, found: list[_Candidate]) -> list[_Candidate]:
        """The candidates of a crop, surest first, without copies."""
        scores = [candidate.instance.predicted_iou for candidate in found]
        return [found[n] for n in suppress([c.box for c in found], scores, self.config.box_nms_thresh)]

    def _crops(self, image: np.ndarray) -> Iterator[tuple[CropBox, int]]:
        """The image itself and its crops, each with its layer."""
        height, width = image.shape[:2]
        yield (0, 0, width, height), 0
        for layer in range(1, self.config.crop_n_layers + 1):
            across = 2**layer
            overlap = int(self.config.crop_overlap_ratio * min(height, width) * (2 / across))
            w, h = (math.ceil((overlap * (across - 1) + length) / across) for length in (width, height))
            for x0 in (int((w - overlap) * n) for n in range(across)):
                for y0 in (int((h - overlap) * n) for n in range(across)):
                    yield (x0, y0, min(x0 + w, width), min(y0 + h, height)), layer

    def _in_crops(
        self, images: Sequence[np.ndarray], places: Sequence[tuple[int, CropBox, int]]
    ) -> list[list[_Candidate]]:
        """What passes its scores in each of some crops."""
        cut = [images[n][box[1] : box[3], box[0] : box[2]] for n, box, _ in places]
        encoded = self.predictor.encode(cut, hq=self.predictor.mask_output != "sam")
        prompts = [
            (row, point_prompt(x, y))
            for row, (pixels, (_, _, layer)) in enumerate(zip(cut, places, strict=True))
            for x, y in point_grid(self._side(layer)) * [pixels.shape[1], pixels.shape[0]]
        ]
        found: list[list[_Candidate]] = [[] for _ in places]
        output, threshold = self.predictor.mask_output, self.config.pred_iou_thresh
        for chunk, logits in self.predictor.logits(encoded, prompts, [output], over=threshold):
            values, estimates = logits[output]
            sure = (estimates > threshold).nonzero().tolist()
            for n, k in sure:
                row, prompt = chunk[n]
                image, box, _ = places[row]
                size = images[image].shape[:2]
                made = self._candidate(values[n, k], float(estimates[n, k]), prompt, encoded.resizes[row], box, size)
                found[row] += [] if made is None else [made]
        return found

    def _side(self, layer: int) -> int:
        return int(self.config.points_per_side / self.config.crop_n_points_downscale_factor**layer)

    def _candidate(
        self,
        logits: Tensor,
        estimate: float,
        prompt: Prompt,
        resize: ResizeLongestSide,
        crop: CropBox,
        size: tuple[int, int],
    ) -> _Candidate | None:
        """The mask of logits (S / 4, S / 4), unless it is not stable or is cut off by the border of its crop."""
        offset = self.config.stability_score_offset
        (found,) = logit_crops(logits[None], [resize], level=-offset)
        wide = int((found.values > 0).sum())
        stability = int((found.values > 2 * offset).sum()) / wide if wide else math.nan
        if not stability >= self.config.stability_score_thresh:
            return None
        mask = _mask_of(found, offset, crop, size)
        x, y, w, h = mask.tight_box()
        box = (x, y, x + w - 1, y + h - 1) if w else (crop[0], crop[1], crop[0], crop[1])
        if _is_cut_off(box, crop, size):
            return None
        assert prompt.points is not None
        points = prompt.points + np.array([crop[0], crop[1], 0])
        x0, y0, x1, y1 = crop
        more = {
            "point_coords": points[:, :2].tolist(),
            "stability_score": round(stability, 6),
            "crop_box": [x0, y0, x1 - x0, y1 - y0],
        }
        return _Candidate(Instance(replace(prompt, points=points), mask, estimate, more=more), box, crop)

    def _joined(self, crops: list[list[_Candidate]]) -> list[Instance]:
        """The masks of an image from all its crops."""
        found = [candidate for own in crops for candidate in own]
        if len(crops) > 1:
            sizes = [1 / ((c.crop[2] - c.crop[0]) * (c.crop[3] - c.crop[1])) for c in found]
            found = [found[n] for n in suppress([c.box for c in found], sizes, self.config.crop_nms_thresh)]
        if self.config.min_mask_region_area:
            found = self._without_small_regions(found)
        return [candidate.instance for candidate in found]

    def _without_small_regions(self, found: list[_Candidate]) -> list[_Candidate]:
        """Masks without small holes and islands; of those that become duplicates the unchanged stays."""
        area, changed, scores = self.config.min_mask_region_area, [], []
        for candidate in found:
            full = candidate.instance.mask.full()
            without_holes = ~drop_parts(~full, area, keep_largest=False)[0]
            bits = drop_parts(without_holes, area, keep_largest=True)[0]
            same = bool((bits == full).all())
            scores.append(float(same))
            if not same:
                whole = MaskCrop.whole(bits)
                x, y, w, h = whole.tight_box()
                box = (x, y, x + max(w, 1) - 1, y + max(h, 1) - 1)
                candidate = replace(candidate, instance=replace(candidate.instance, mask=whole), box=box)
            changed.append(candidate)
        threshold = max(self.config.box_nms_thresh, self.config.crop_nms_thresh)
        return [changed[n] for n in suppress([c.box for c in changed], scores, threshold)]


def point_grid(side: int) -> np.ndarray:
    """Points (n, 2) evenly over a crop, in shares of its width and height, row by row."""
    line = (np.arange(side) + 0.5) / side
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def point_prompt(x: float, y: float) -> Prompt:
    """The prompt of a point, in pixels of its crop."""
    return Prompt(points=np.array([[x, y, 1.0]]))


def _mask_of(found: LogitCrop, offset: float, crop: CropBox, size: tuple[int, int]) -> MaskCrop:
    """The mask where logits are over 0, in pixels of the image."""
    bits = (found.values > offset).cpu().numpy()
    return MaskCrop(bits, found.x + crop[0], found.y + crop[1], size[1], size[0])


def _is_cut_off(box: tuple[int, int, int, int], crop: CropBox, size: tuple[int, int]) -> bool:
    """Whether a box ends where its crop ends and the image does not."""
    borders = zip(box, crop, (0, 0, size[1], size[0]), strict=True)
    return any(abs(side - cut) <= EDGE < abs(side - border) for side, cut, border in borders)


def suppress(boxes: Sequence[Sequence[float]], scores: Sequence[float], threshold: float) -> list[int]:
    """Which of some boxes x0, y0, x1, y1 stay, best first: none that has a larger IoU with a better one."""
    if not boxes:
        return []
    corners = np.array(boxes, np.float32)
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    left = np.argsort(-np.array(scores, np.float32), kind="stable")
    kept = []
    while len(left):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        low = np.maximum(corners[best, :2], corners[left, :2])
        high = np.minimum(corners[best, 2:], corners[left, 2:])
        common = np.clip(high - low, 0, None).prod(axis=1)
        with np.errstate(invalid="ignore"):
            overlap = common / (areas[best] + areas[left] - common)
        left = left[~(overlap > threshold)]
    return kept
