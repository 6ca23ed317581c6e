"""Windows: objects segmented again in a square part of the image, at a higher resolution than in the whole image.

SAM resizes an image to its input size, so that an object of 40 pixels in an image of 8000 has five pixels. In its
window, an object is prompted with its box, its points and its logits in the whole image, which tell it from others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..configs import MaskOutput, Windows
from ..modeling.overlap import mask_iou
from ..modeling.sam import HQSam
from ..records import Box, Instance, Prompt
from .coarse_masks import prompt_box
from .crops import LARGE_IMAGE, LARGEST, Window, longer_side
from .postprocess import SCALE
from .prediction import to_instances
from .predictor import EncodedImages, Predictor
from .preprocess import ResizeLongestSide
from .tiles import better_explained, tent

# The side of a window: CONTEXT times the longer side of the object box, or up to CONTEXT_OF_SMALL times if that is less
# than a third of the longer side of the image; and at least a quarter of the model's input.
CONTEXT, CONTEXT_OF_SMALL, MOST_CONTEXT, LEAST_SIDE = 1.3, 4.0, 1 / 3, 1 / 4
# An object shares the window of another one that is at most this many times as large as its own, if the window has this
# many times its box.
SHARED, SHARED_CONTEXT = 1.5, 2.0
# The logits of both passes are added, unless the whole image does not show the object well: the longer side of its box
# is smaller than this fraction of the image's.
SMALL_OBJECT = 1 / 8
MAX_LOGIT = 32.0  # of a mask prompt, as in SAM's training
WINDOWS_PER_BATCH = 8
# An object whose box is at least this large, as a fraction of the image's longer side, is segmented in tiles too if the
# IoU of SAM's mask with that of the HQ token is below ALIKE. The side of a tile, as a fraction of that of the box.
TILED: frozenset[MaskOutput] = frozenset({"auto", "hq"})  # `sum` has filled gaps in tiles too
LARGE_OBJECT, ALIKE, TILE = 0.3, 0.65, 0.62


def plan_windows(boxes: Mapping[int, Box], shape: tuple[int, ...], side: int) -> dict[Window, list[int]]:
    """Windows for the objects of an image of shape (H, W, ...), each with the keys of its boxes.

    Args:
        boxes: of the objects in pixels.
        side: the model's input size in pixels.
    """
    height, width = shape[:2]
    longest = max(height, width)
    sides = {n: longer_side(box) for n, box in boxes.items()}
    windows: dict[Window, list[int]] = {}
    for n in sorted(sides, key=lambda n: -sides[n]):
        context = min(CONTEXT_OF_SMALL * sides[n], MOST_CONTEXT * longest)
        own = max(CONTEXT * sides[n], context, LEAST_SIDE * side)
        if own > LARGEST * longest:
            continue
        near = Window.around(boxes[n], min(own, SHARED_CONTEXT * sides[n]), height, width)
        shared = (window for window in windows if longer_side(window) <= SHARED * own and window.contains(near))
        windows.setdefault(next(shared, Window.around(boxes[n], own, height, width)), []).append(n)
    return windows


def plan_tiles(box: Box, shape: tuple[int, ...]) -> list[Window]:
    """One, two or four squares that cover the box of an object in an image of shape (H, W, ...)."""
    side = TILE * longer_side(box)
    margin = 0.01 * side

    def centers(low: float, high: float) -> tuple[float, ...]:
        ends = low - margin + side / 2, high + margin - side / 2
        return ends if high - low > side else ((low + high) / 2,)

    x, y = centers(box[0], box[2]), centers(box[1], box[3])
    return [Window.around((left, top, left, top), side, *shape[:2]) for top in y for left in x]


class WindowPredictor(Predictor):
    """A `Predictor` that also segments objects in windows.

    Args:
        windows: `auto` in images at least `LARGE_IMAGE` times as large as the model's input, `on` in all images.
        more: see `Predictor`.
    """

    def __init__(self, model: HQSam, *, windows: Literal["auto", "on"] = "auto", **more: Any) -> None:
        super().__init__(model, **more)
        self.smallest = LARGE_IMAGE * model.image_size if windows == "auto" else 0

    def decode_outputs(
        self, encoded: EncodedImages, prompts: Sequence[Sequence[Prompt]], outputs: Sequence[MaskOutput]
    ) -> dict[MaskOutput, list[list[Instance]]]:
        """See `Predictor.decode_outputs`."""
        found = super().decode_outputs(encoded, prompts, outputs)
        per_batch = 1 if self.on_cpu else WINDOWS_PER_BATCH  # see `predict_batch`
        for row, image in enumerate(encoded.images):
            if max(image.source.shape[:2]) < self.smallest:
                continue
            whole = EncodedImages(encoded.features.rows(row, row), [image])
            shape = image.source.shape
            extents = {name: _extents(prompts[row], instances[row]) for name, instances in found.items()}
            plans = {name: plan_windows(boxes, shape, self.model.image_size) for name, boxes in extents.items()}
            windows = list(dict.fromkeys(window for plan in plans.values() for window in plan))
            for start in range(0, len(windows), per_batch):
                batch = windows[start : start + per_batch]
                views = self.encode(
                    [image.source[y0:y1, x0:x1] for x0, y0, x1, y1 in batch], hq=encoded.features.hq is not None
                )
                for name, plan in plans.items():
                    numbers = [(view, n) for view, window in enumerate(batch) for n in plan.get(window, ())]
                    asked = [_Asked(view, prompts[row][n], extents[name][n]) for view, n in numbers]
                    for (_, n), own in zip(numbers, self._in_windows(whole, views, batch, asked, name), strict=True):
                        found[name][row][n * len(own) : (n + 1) * len(own)] = own
            if self.choice == "single":
                self._refine_in_tiles(whole, prompts[row], [found[name][row] for name in found if name in TILED])
        return found

    @torch.inference_mode()
    def _in_windows(
        self,
        encoded: EncodedImages,
        views: EncodedImages,
        windows: Sequence[Window],
        asked: Sequence[_Asked],
        output: MaskOutput,
    ) -> list[list[Instance]]:
        """Instances of each of the prompts of one image, in its pixels.

        Args:
            encoded: the image.
            views: the encoded windows.
        """
        if not asked:
            return []
        (resize,) = encoded.resizes
        first = self._answers(encoded, [(0, own.prompt) for own in asked], list({output, "sam"}))
        maps = [_from_view(windows[own.view], views.resizes[own.view], resize) for own in asked]
        sam, scores = first["sam"]
        best = scores.argmax(dim=1).view(-1, 1, 1, 1).expand(-1, 1, *sam.shape[2:])
        guide = _sampled(sam.gather(1, best), maps, resize).clamp(-MAX_LOGIT, MAX_LOGIT)
        inside = [(own.view, windows[own.view].prompt(own.prompt)) for own in asked]
        values, scores = self._answers(views, inside, [output], guide)[output]
        whole = _sampled(first[output][0], maps, resize)
        small = SMALL_OBJECT * max(resize.height, resize.width)
        added = torch.tensor([longer_side(own.box) >= small for own in asked], device=whole.device)
        values = values + whole * added.view(-1, 1, 1, 1)
        soft = self.soft and output == self.mask_output
        instances = iter(to_instances(inside, views.resizes, values, scores, soft=soft))
        return [
            [
                windows[own.view].placed(instance, own.prompt, resize.height, resize.width)
                for _, instance in islice(instances, values.shape[1])
            ]
            for own in asked
        ]

    @torch.inference_mode()
    def _refine_in_tiles(
        self, whole: EncodedImages, prompts: Sequence[Prompt], outputs: Sequence[list[Instance]]
    ) -> None:
        """Replace masks of an image by those of tiles, if these are better explained by its colors; see `tiles`.

        Args:
            outputs: instances of the prompts, by mask output.
        """
        (image,), shape = whole.images, whole.images[0].source.shape
        if not isinstance(image.source, np.ndarray):  # its pixels do not fit into memory
            return
        least = LARGE_OBJECT * max(shape[:2])
        boxes = {n: own.box for n, own in enumerate(prompts) if own.box is not None}
        large = [n for n, box in boxes.items() if longer_side(box) >= least]
        if not large or not outputs:
            return
        first = self._answers(whole, [(0, prompts[n]) for n in large], ["sam", "hq"])
        for n, sam, hq in zip(large, first["sam"][0], first["hq"][0], strict=True):
            if mask_iou(sam > 0, hq > 0) >= ALIKE:
                continue
            tiles = plan_tiles(boxes[n], shape)
            area = Window(*tiles[0][:2], *tiles[-1][2:])
            canvas = self.resize_type.of(area.y1 - area.y0, area.x1 - area.x0, 2 * self.image_size)
            logits = _sampled(hq[None], [_from_view(area, canvas, image.resize)], canvas)
            sums, weights = torch.zeros_like(logits), torch.zeros_like(logits)
            for tile in tiles:
                view = self.encode([image.source[tile.y0 : tile.y1, tile.x0 : tile.x1]], hq=True)
                (resize,) = view.resizes
                guide = _sampled(sam[None], [_from_view(tile, resize, image.resize)], resize)
                asked = [(0, tile.prompt(prompts[n]))]
                found, _ = self._answers(view, asked, ["hq"], guide.clamp(-MAX_LOGIT, MAX_LOGIT))["hq"]
                share = tent(resize).to(found.device)
                maps = [_from_view(area.within(tile), canvas, resize)]
                sums += _sampled(found * share, maps, canvas, "zeros")
                weights += _sampled(share, maps, canvas, "zeros")
            logits = logits + sums / weights.clamp(min=1e-6)
            prompt = [(0, prompts[n])]
            ((_, instance),) = to_instances(prompt, [canvas], logits, torch.zeros(1, 1), soft=self.soft)
            other = area.placed(instance, prompts[n], *shape[:2])
            part = slice(area.y0, area.y1), slice(area.x0, area.x1)
            for instances in outputs:
                instances[n] = better_explained(instances[n], other, image.source[part], part)

    def _answers(
        self,
        encoded: EncodedImages,
        prompts: list[tuple[int, Prompt]],
        outputs: Sequence[MaskOutput],
        mask_logits: Tensor | None = None,
    ) -> dict[MaskOutput, tuple[Tensor, Tensor]]:
        """Logits (P, K, S / 4, S / 4) and predicted IoUs (P, K) of all prompts; see `logits` and `refined`."""
        batches = [
            self.refined(encoded, chunk, found) if mask_logits is None else found
            for chunk, found in self.logits(encoded, prompts, outputs, mask_logits=mask_logits)
        ]
        columns = {name: zip(*(found[name] for found in batches), strict=True) for name in outputs}
        return {name: (torch.cat(logits), torch.cat(scores)) for name, (logits, scores) in columns.items()}


class _Asked(NamedTuple):
    """A prompt to answer in a window: the index of the window, the prompt and the object's box in the image."""

    view: int
    prompt: Prompt
    box: Box


def make_predictor(model: HQSam, windows: Windows, **more: Any) -> Predictor:
    """The predictor of an option `windows`; `more` is passed to it."""
    return Predictor(model, **more) if windows == "off" else WindowPredictor(model, windows=windows, **more)


def with_windows(predictor: Predictor, windows: Literal["auto", "on"]) -> WindowPredictor:
    """A predictor with the model and the options of another one, and windows."""
    return WindowPredictor(
        predictor.model,
        windows=windows,
        mask_output=predictor.mask_output,
        choice=predictor.choice,
        compare_sam=predictor.compare_sam,
        dtype=predictor.dtype,
        prompts_per_batch=predictor.prompts_per_batch,
        soft=predictor.soft,
    )


def _from_view(window: Window, view: ResizeLongestSide, image: ResizeLongestSide) -> list[list[float]]:
    """Affine map (2, 3) from coordinates in the input of a window to those in the input of its image, both -1 to 1."""
    across, down = image.input_width / image.width, image.input_height / image.height
    x, y = across * (window.x1 - window.x0) / view.input_width, down * (window.y1 - window.y0) / view.input_height
    x, y = (own * view.side / image.side for own in (x, y))
    left, top = (2 * start / image.side - 1 for start in (across * window.x0, down * window.y0))
    return [[x, 0.0, left + x], [0.0, y, top + y]]


def _sampled(logits: Tensor, maps: list[list[list[float]]], view: ResizeLongestSide, padding: str = "border") -> Tensor:
    """Logits (N, K, h, w) of images at the logits of N views of them; see `_from_view`."""
    size = [len(maps), 1, view.side // SCALE, view.side // SCALE]
    grid = functional.affine_grid(torch.tensor(maps, device=logits.device), size, align_corners=False)
    return functional.grid_sample(logits, grid, padding_mode=padding, align_corners=False)


def _extents(prompts: Sequence[Prompt], found: Sequence[Instance]) -> dict[int, Box]:
    """Box of each object, by prompt: that of the prompt or else of the masks, and its foreground points, if any."""
    masks = len(found) // max(len(prompts), 1)
    extents: dict[int, Box] = {}
    for n, prompt in enumerate(prompts):
        box, tight = prompt_box(prompt), (own.mask.tight_box() for own in found[n * masks : (n + 1) * masks])
        boxes: list[Box] = [(x, y, x + w, y + h) for x, y, w, h in tight if w] if box is None else [box]
        if prompt.points is not None:
            boxes += [(x, y, x, y) for x, y, label in prompt.points.tolist() if label > 0.5]
        if boxes:
            left, top, right, bottom = zip(*boxes, strict=True)
            extents[n] = min(left), min(top), max(right), max(bottom)
    return extents
