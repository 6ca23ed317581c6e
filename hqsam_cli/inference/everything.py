"""Automatic mask generation from a grid of point prompts, as in SAM's automatic mask generator.

The steps and their order are SAM's (SAM, appendix B), so the masks are the same. Masks that are filtered out by a score
are never computed, and the others are upsampled only around the mask. Only with a coarse grid first, which SAM does not
have, points that a mask already covers are skipped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..configs import EverythingConfig, MaskOutput
from ..modeling.sam import MaskChoice
from ..progress import SILENT
from ..records import Instance, MaskCrop, Prompt
from .postprocess import extents
from .predictor import Predictor
from .preprocess import ResizeLongestSide
from .regions import remove_small_regions

EDGE_TOLERANCE = 20.0  # pixels
# Points of a crop, after the coarse grid, that are prompted before their masks may cover others: a constant, so that
# masks depend neither on `prompts_per_batch` nor on other images.
POINTS_AT_ONCE = 8

CropBox = tuple[int, int, int, int]  # x0, y0, x1, y1


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A mask that passed the score filters: its box in image pixels, corners inclusive, and its crop."""

    instance: Instance
    box: tuple[int, int, int, int]
    crop: CropBox


def choice_at_points(mask_output: MaskOutput | None, config: EverythingConfig) -> MaskChoice:
    """Masks to keep per point: HQ-SAM's generator keeps the best of three, SAM's keeps all.

    All are also kept where points are skipped: the object at such a point may be larger than the mask that covers it.
    """
    return "all" if mask_output == "sam" or config.coarse_points_per_side is not None else "best"


class MaskGenerator:
    """Segments everything in images.

    Args:
        predictor: its `choice` must match `choice_at_points`.
        on_part: is passed the fraction of points that are done of the current images, after each batch of points.
    """

    def __init__(
        self,
        predictor: Predictor,
        config: EverythingConfig,
        on_part: Callable[[float], None] = SILENT.on_part,
    ) -> None:
        self.predictor, self.config, self.on_part = predictor, config, on_part

    def generate(self, images: Sequence[np.ndarray]) -> list[list[Instance]]:
        """Generate instances for images, RGB uint8 (H, W, 3), by descending predicted IoU within a crop.

        Their prompts are the points; `more` holds SAM's `point_coords`, `stability_score` and `crop_box`.
        """
        if len(images) > 1 and self.predictor.on_cpu:  # see `Predictor.predict_batch`
            return [self.generate([image])[0] for image in images]
        crops = [(n, box, layer) for n, image in enumerate(images) for box, layer in self._crop_boxes(image)]
        found: list[list[_Candidate]] = [[] for _ in images]
        points, done = sum(len(grid) for _, _, layer in crops for grid in self._grids(layer)), 0

        def on_points(count: int) -> None:
            nonlocal done
            done += count
            self.on_part(done / points)

        for start in range(0, len(crops), len(images)):
            batch = crops[start : start + len(images)]
            for (n, _, _), own in zip(batch, self._process_crops(images, batch, on_points), strict=True):
                scores = [candidate.instance.predicted_iou for candidate in own]
                found[n] += _nms(own, scores, self.config.box_nms_thresh)
        return [[candidate.instance for candidate in self._merged(own)] for own in found]

    def _crop_boxes(self, image: np.ndarray) -> Iterator[tuple[CropBox, int]]:
        """Yield the full image box and the crop boxes, each with its layer."""
        height, width = image.shape[:2]
        yield (0, 0, width, height), 0
        for layer in range(1, self.config.crop_n_layers + 1):
            per_side = 2**layer
            overlap = int(self.config.crop_overlap_ratio * min(height, width) * (2 / per_side))
            w, h = (math.ceil((overlap * (per_side - 1) + length) / per_side) for length in (width, height))
            for x0 in (int((w - overlap) * n) for n in range(per_side)):
                for y0 in (int((h - overlap) * n) for n in range(per_side)):
                    yield (x0, y0, min(x0 + w, width), min(y0 + h, height)), layer

    def _process_crops(
        self,
        images: Sequence[np.ndarray],
        crops: Sequence[tuple[int, CropBox, int]],
        on_points: Callable[[int], None],
    ) -> list[list[_Candidate]]:
        """Candidates of each crop (image index, box, layer)."""
        cropped = [images[n][box[1] : box[3], box[0] : box[2]] for n, box, _ in crops]
        encoded = self.predictor.encode(cropped).without_padding()
        grids = [self._grids(layer) for _, _, layer in crops]
        waiting = [
            np.concatenate(own) * [pixels.shape[1], pixels.shape[0]] for pixels, own in zip(cropped, grids, strict=True)
        ]
        found: list[list[_Candidate]] = [[] for _ in crops]
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
                    image, box, _ = crops[row]
                    size = images[image].shape[:2]
                    candidate = self._candidate(
                        logits[n, k], float(predicted_iou[n, k]), prompt, encoded.resizes[row], box, size
                    )
                    if candidate is None:
                        continue
                    found[row].append(candidate)
                    if skips:
                        covered = _covers(candidate.instance.mask, waiting[row] + box[:2])
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

    def _candidate(
        self,
        logits: Tensor,
        predicted_iou: float,
        prompt: Prompt,
        resize: ResizeLongestSide,
        crop: CropBox,
        size: tuple[int, int],
    ) -> _Candidate | None:
        """Mask of logits (S / 4, S / 4) in an image of `size` (H, W); None if unstable or near a crop edge."""
        offset = self.config.stability_score_offset
        logits = logits + offset
        (extent,) = extents(logits[None], [resize])
        values = extent.upsampled(logits).cpu().numpy()
        union = np.count_nonzero(values > 0)
        stability = np.count_nonzero(values > 2 * offset) / union if union else math.nan
        if not stability >= self.config.stability_score_thresh:
            return None
        x0, y0, x1, y1 = crop
        mask = MaskCrop(values > offset, extent.columns.start + x0, extent.rows.start + y0, size[1], size[0])
        x, y, w, h = mask.tight_box()
        box = (x, y, x + w - 1, y + h - 1) if w else (x0, y0, x0, y0)
        if is_box_near_crop_edge(box, crop, size):
            return None
        assert prompt.points is not None
        points = prompt.points + np.array([x0, y0, 0])
        more = {
            "point_coords": points[:, :2].tolist(),
            "stability_score": round(stability, 6),
            "crop_box": [x0, y0, x1 - x0, y1 - y0],
        }
        return _Candidate(Instance(replace(prompt, points=points), mask, predicted_iou, more=more), box, crop)

    def _merged(self, found: list[_Candidate]) -> list[_Candidate]:
        """Merge the candidates of all crops of an image, without duplicates and small regions."""
        if self.config.crop_n_layers:
            scores = [1 / ((c.crop[2] - c.crop[0]) * (c.crop[3] - c.crop[1])) for c in found]
            found = _nms(found, scores, self.config.crop_nms_thresh)
        return self._without_small_regions(found) if self.config.min_mask_region_area else found

    def _without_small_regions(self, found: list[_Candidate]) -> list[_Candidate]:
        """Remove small holes and regions; among resulting duplicates the unchanged mask is kept."""
        area, cleaned, scores = self.config.min_mask_region_area, [], []
        for candidate in found:
            full = candidate.instance.mask.full()
            without_holes = ~remove_small_regions(~full, area, keep_largest=False)[0]
            bits = remove_small_regions(without_holes, area, keep_largest=True)[0]
            unchanged = bool((bits == full).all())
            scores.append(float(unchanged))
            if not unchanged:
                mask = MaskCrop.whole(bits)
                x, y, w, h = mask.tight_box()
                box = (x, y, x + max(w, 1) - 1, y + max(h, 1) - 1)
                candidate = replace(candidate, instance=replace(candidate.instance, mask=mask), box=box)
            cleaned.append(candidate)
        return _nms(cleaned, scores, max(self.config.box_nms_thresh, self.config.crop_nms_thresh))


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


def is_box_near_crop_edge(box: tuple[int, int, int, int], crop: CropBox, size: tuple[int, int]) -> bool:
    """Whether a box side is near a crop edge that is not near an edge of the image of `size` (H, W)."""
    edges = zip(box, crop, (0, 0, size[1], size[0]), strict=True)
    return any(abs(side - edge) <= EDGE_TOLERANCE < abs(side - border) for side, edge, border in edges)


def _nms(found: list[_Candidate], scores: list[float], iou_threshold: float) -> list[_Candidate]:
    """Box-based non-maximum suppression; returns the kept candidates by descending score."""
    from torchvision.ops import nms  # lazy, because the import is slow

    boxes = torch.tensor([candidate.box for candidate in found], dtype=torch.float32).reshape(len(found), 4)
    return [found[n] for n in nms(boxes, torch.tensor(scores), iou_threshold).tolist()]
