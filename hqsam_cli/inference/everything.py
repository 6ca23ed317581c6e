"""Automatic mask generation from a grid of point prompts, as in SAM's automatic mask generator.

The steps and their order are SAM's (SAM, appendix B), so the masks are the same. Masks that are filtered out by a score
are never computed, and the others are upsampled only around the mask. Only with a coarse grid first, which SAM does not
have, points that a mask already covers are skipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from ..configs import EverythingConfig, MaskOutput, Windows
from ..modeling.sam import MaskChoice
from ..progress import SILENT
from ..records import Instance, MaskCrop, Prompt
from .crops import Crop, Found, Window, in_crops, is_too_large, merged, nms, sam_crops, source_of, view, window_crops
from .postprocess import extents
from .prediction import AnyImage, Source
from .predictor import Predictor
from .preprocess import ResizeLongestSide
from .regions import remove_small_regions

# Points of a crop, after the coarse grid, that are prompted before their masks may cover others: a constant, so that
# masks depend neither on `prompts_per_batch` nor on other images.
POINTS_AT_ONCE = 8


def choice_at_points(mask_output: MaskOutput | None, config: EverythingConfig) -> MaskChoice:
    """Masks to keep per point: HQ-SAM's generator keeps the best of three, SAM's keeps all.

    All are also kept where points are skipped: the object at such a point may be larger than the mask that covers it.
    """
    return "all" if mask_output == "sam" or config.coarse_points_per_side is not None else "best"


class MaskGenerator:
    """Segments everything in images.

    Args:
        predictor: its `choice` must match `choice_at_points`.
        windows: see `window_crops`, of images without `crop_n_layers`.
        on_part: is passed the fraction of points that are done of the current images, after each batch of points.
    """

    def __init__(
        self,
        predictor: Predictor,
        config: EverythingConfig,
        *,
        windows: Windows = "off",
        on_part: Callable[[float], None] = SILENT.on_part,
    ) -> None:
        self.predictor, self.config, self.on_part, self.windows = predictor, config, on_part, windows
        self.resize = predictor.resize

    def generate(self, images: Sequence[AnyImage]) -> list[list[Instance]]:
        """Generate instances for images, by descending predicted IoU within a crop.

        Their prompts are the points; `more` holds SAM's `point_coords`, `stability_score` and `crop_box`.
        """
        if len(images) > 1 and self.predictor.on_cpu:  # see `Predictor.predict_batch`
            return [self.generate([image])[0] for image in images]
        layouts = [list(self._crops(source_of(image).shape)) for image in images]
        points, done = sum(len(grid) for layout in layouts for _, layer in layout for grid in self._grids(layer)), 0

        def on_points(count: int) -> None:
            nonlocal done
            done += count
            self.on_part(done / points)

        def find(crops: Sequence[Crop]) -> list[list[Found]]:
            made = self._process_crops(images, crops, on_points)
            threshold = self.config.box_nms_thresh
            return [nms(own, [mask.instance.predicted_iou for mask in own], threshold) for own in made]

        return in_crops(layouts, find, self._merged)

    def _crops(self, shape: tuple[int, ...]) -> Iterator[tuple[Window, int]]:
        """The crops of an image of shape (H, W, 3), with their layers; see `sam_crops`."""
        if layers := self.config.crop_n_layers:
            return sam_crops(shape, layers, self.config.crop_overlap_ratio)
        return window_crops(shape, self.predictor.image_size, self.windows)

    def _process_crops(
        self, images: Sequence[AnyImage], crops: Sequence[Crop], on_points: Callable[[int], None]
    ) -> list[list[Found]]:
        """Masks of each crop that pass the filters."""
        views = [view(images[crop.row], crop.window) for crop in crops]
        encoded = self.predictor.encode(views).without_padding()
        grids = [self._grids(crop.layer) for crop in crops]
        waiting = [
            np.concatenate(own) * [resize.width, resize.height]
            for resize, own in zip(encoded.resizes, grids, strict=True)
        ]
        found: list[list[Found]] = [[] for _ in crops]
        output, threshold = self.predictor.mask_output, self.config.pred_iou_thresh
        skips = self.config.coarse_points_per_side is not None
        steps = [len(own[0]) for own in grids]
        while count := sum(map(len, waiting)):
            prompts = [
                (row, Prompt(points=np.array([[x, y, 1.0]])))
                for row, (own, step) in enumerate(zip(waiting, steps, strict=True))
                for x, y in own[:step]
            ]
            waiting, asked = [own[step:] for own, step in zip(waiting, steps, strict=True)], len(prompts)
            steps = [POINTS_AT_ONCE] * len(crops)
            for chunk, outputs in self.predictor.logits(encoded, prompts, [output], iou_threshold=threshold):
                logits, predicted_iou = outputs[output]
                for n, k in (predicted_iou > threshold).nonzero().tolist():
                    row, prompt = chunk[n]
                    window, source = crops[row].window, source_of(images[crops[row].row])
                    mask = self._mask(
                        logits[n, k], float(predicted_iou[n, k]), prompt, encoded.resizes[row], window, source
                    )
                    if mask is None:
                        continue
                    found[row].append(mask)
                    if skips:
                        covered = _covers(mask.instance.mask, waiting[row] + window[:2])
                        waiting[row] = waiting[row][~covered]
                asked -= len(chunk)
                left = asked + sum(map(len, waiting))
                on_points(count - left)
                count = left
        return found

    def _grids(self, layer: int) -> list[np.ndarray]:
        """Grids of points (n, 2) in normalized coordinates of a crop, in the order in which they are prompted."""
        sides = self.config.coarse_points_per_side, self.config.points_per_side
        downscale = self.config.crop_n_points_downscale_factor**layer
        return [point_grid(int(side / downscale)) for side in sides if side is not None]

    def _mask(
        self,
        logits: Tensor,
        predicted_iou: float,
        prompt: Prompt,
        resize: ResizeLongestSide,
        crop: Window,
        source: Source,
    ) -> Found | None:
        """Mask of logits (S / 4, S / 4) in a crop of an image; None if unstable, cut by a crop edge or too large."""
        offset = self.config.stability_score_offset
        logits = logits + offset
        (extent,) = extents(logits[None], [resize])
        if is_too_large(extent.rows.count * extent.columns.count, source):
            return None
        values = extent.upsampled(logits).cpu().numpy()
        union = np.count_nonzero(values > 0)
        stability = np.count_nonzero(values > 2 * offset) / union if union else math.nan
        if not stability >= self.config.stability_score_thresh:
            return None
        height, width = source.shape[:2]
        mask = MaskCrop(values > offset, extent.columns.start + crop.x0, extent.rows.start + crop.y0, width, height)
        assert prompt.points is not None
        points = prompt.points + np.array([crop.x0, crop.y0, 0])
        more = {
            "point_coords": points[:, :2].tolist(),
            "stability_score": round(stability, 6),
            "crop_box": [crop.x0, crop.y0, crop.x1 - crop.x0, crop.y1 - crop.y0],
        }
        found = Found.of(Instance(replace(prompt, points=points), mask, predicted_iou, more=more), crop)
        return None if found.is_cut else found

    def _merged(self, found: list[Found], crops: int) -> list[Found]:
        """Merge the masks of all crops of an image, without duplicates and small regions."""
        if crops > 1:
            found = merged(found, self.config.crop_nms_thresh)
        return self._without_small_regions(found) if self.config.min_mask_region_area else found

    def _without_small_regions(self, found: list[Found]) -> list[Found]:
        """Remove small holes and regions; among resulting duplicates the unchanged mask is kept."""
        area, cleaned, scores = self.config.min_mask_region_area, list[Found](), list[float]()
        for own in found:
            mask = own.instance.mask
            height, width = mask.bits.shape
            # A background with such a margin is not small, so that masks of huge images need not be unfolded.
            x0, y0 = max(mask.x - area, 0), max(mask.y - area, 0)
            x1, y1 = min(mask.x + width + area, mask.width), min(mask.y + height + area, mask.height)
            left, top = mask.x - x0, mask.y - y0
            around = np.zeros((y1 - y0, x1 - x0), bool)
            around[top : top + height, left : left + width] = mask.bits
            without_holes = ~remove_small_regions(~around, area, keep_largest=False)[0]
            bits = remove_small_regions(without_holes, area, keep_largest=True)[0]
            unchanged = bool((bits == around).all())
            scores.append(float(unchanged))
            changed = replace(own.instance, mask=MaskCrop(bits, x0, y0, mask.width, mask.height))
            cleaned.append(own if unchanged else Found.of(changed, own.crop))
        return nms(cleaned, scores, max(self.config.box_nms_thresh, self.config.crop_nms_thresh))


def point_grid(points_per_side: int) -> np.ndarray:
    """Evenly spaced points (n, 2), x and y in normalized coordinates, row by row."""
    line = (np.arange(points_per_side) + 0.5) / points_per_side
    return np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)


def _covers(mask: MaskCrop, points: np.ndarray) -> np.ndarray:
    """Whether a mask covers each of the points (n, 2), x and y in pixels of its image: bool (n,)."""
    height, width = mask.bits.shape
    x, y = np.floor(points - [mask.x, mask.y]).astype(int).T
    covered: np.ndarray = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    covered[covered] = mask.bits[y[covered], x[covered]]
    return covered
