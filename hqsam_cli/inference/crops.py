"""Crops of an image, and how the masks found in each become those of the image.

SAM resizes an image to its input size, so that an object of 40 pixels in an image of 8000 has five pixels. In a crop,
everything mode and runs without prompts find it. Crops overlap, masks that are cut by the edge of a crop are dropped,
and of duplicates the one in the smallest crop is kept, as in SAM's automatic mask generator (SAM, appendix B).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ..configs import Windows
from ..records import Box, Instance, MaskCrop, ProbabilityCrop, Prompt
from .coarse_masks import prompt_box
from .prediction import AnyImage, Source
from .preprocess import ResizedImage

# Longer side, in input sizes of the model, of the images that `auto` has windows in: around prompts, at the cost of one
# or two each, and to search the image, at the cost of 30 in a photo of 12 megapixels.
LARGE_IMAGE, HUGE_IMAGE = 1.5, 6.0
LARGEST = 0.9  # longer side of a window, as a fraction of the image's
OVERLAP = 1 / 3  # of windows beside each other, as a fraction of their side
EDGE_TOLERANCE = 20.0  # pixels
MAX_MASK_PIXELS = 2**25  # of the box of a mask in an image that is read in windows


class Window(NamedTuple):
    """Part of an image in pixels; the lower right corner is not part of it."""

    x0: int
    y0: int
    x1: int
    y1: int

    @classmethod
    def around(cls, box: Box, side: float, height: int, width: int) -> Window:
        """A square around the center of a box, moved and clipped into the image of (height, width)."""
        x0, x1 = _interval(box[0], box[2], max(1, round(side)), width)
        y0, y1 = _interval(box[1], box[3], max(1, round(side)), height)
        return cls(x0, y0, x1, y1)

    @property
    def area(self) -> int:
        """Its pixels."""
        return (self.x1 - self.x0) * (self.y1 - self.y0)

    def contains(self, other: Window) -> bool:
        """Whether another window is part of this one."""
        return self.x0 <= other.x0 and self.y0 <= other.y0 and other.x1 <= self.x1 and other.y1 <= self.y1

    def within(self, other: Window) -> Window:
        """This window in pixels of another one."""
        return Window(self.x0 - other.x0, self.y0 - other.y0, self.x1 - other.x0, self.y1 - other.y0)

    def prompt(self, prompt: Prompt) -> Prompt:
        """The box and the points of a prompt in pixels of the window; points outside of it are left out."""
        box, points = prompt_box(prompt), prompt.points
        if box is not None:
            x, y = np.clip([box[0::2], box[1::2]], [[self.x0], [self.y0]], [[self.x1], [self.y1]]).tolist()
            box = x[0] - self.x0, y[0] - self.y0, x[1] - self.x0, y[1] - self.y0
        if points is not None:
            inside = np.all((points[:, :2] >= self[:2]) & (points[:, :2] <= self[2:]), axis=1)
            points = points[inside] - [self.x0, self.y0, 0]
        return replace(prompt, box=box, points=points, mask=None)

    def placed(self, instance: Instance, prompt: Prompt, height: int, width: int) -> Instance:
        """An instance in the window as one of the image of (height, width), with its prompt in that image."""
        mask, soft = instance.mask, instance.probabilities
        return replace(
            instance,
            prompt=prompt,
            mask=MaskCrop(mask.bits, mask.x + self.x0, mask.y + self.y0, width, height),
            probabilities=soft and ProbabilityCrop(soft.values, soft.x + self.x0, soft.y + self.y0),
            sam=instance.sam and self.placed(instance.sam, prompt, height, width),
        )


def longer_side(box: Box) -> float:
    """The longer side of a box, or of a window."""
    return max(box[2] - box[0], box[3] - box[1])


class Crop(NamedTuple):
    """A window of the image in a row of a batch, and its layer, 0 for the whole image."""

    row: int
    window: Window
    layer: int


class Found(NamedTuple):
    """A mask that was found in a crop, in pixels of the image, and its box, whose corners are inclusive."""

    instance: Instance
    box: tuple[int, int, int, int]
    crop: Window

    @classmethod
    def of(cls, instance: Instance, crop: Window) -> Found:
        """A mask with its box, which is a pixel if the mask is empty."""
        x, y, w, h = instance.mask.tight_box()
        return cls(instance, (x, y, x + w - 1, y + h - 1) if w else (crop.x0, crop.y0, crop.x0, crop.y0), crop)

    @property
    def is_cut(self) -> bool:
        """Whether a side of the box is near an edge of the crop that is not near an edge of the image."""
        mask = self.instance.mask
        edges = zip(self.box, self.crop, (0, 0, mask.width, mask.height), strict=True)
        return any(abs(side - edge) <= EDGE_TOLERANCE < abs(side - border) for side, edge, border in edges)


def sam_crops(shape: tuple[int, ...], layers: int, overlap_ratio: float) -> Iterator[tuple[Window, int]]:
    """Yield the whole image of shape (H, W, ...) and SAM's crops of it, each with its layer.

    Args:
        layers: layer n has 2^n x 2^n crops.
        overlap_ratio: overlap of crops in the first layer, as a fraction of the shorter side of the image.
    """
    height, width = shape[:2]
    yield Window(0, 0, width, height), 0
    for layer in range(1, layers + 1):
        per_side = 2**layer
        overlap = int(overlap_ratio * min(height, width) * (2 / per_side))
        w, h = (math.ceil((overlap * (per_side - 1) + length) / per_side) for length in (width, height))
        for x0 in (int((w - overlap) * n) for n in range(per_side)):
            for y0 in (int((h - overlap) * n) for n in range(per_side)):
                yield Window(x0, y0, min(x0 + w, width), min(y0 + h, height)), layer


def window_crops(shape: tuple[int, ...], side: int, windows: Windows) -> Iterator[tuple[Window, int]]:
    """Yield the whole image of shape (H, W, ...) and square windows of it, each with its layer.

    Windows of the last layer have the model's input size, but at most two thirds of the image's; those of each layer
    before are twice as large.

    Args:
        side: the model's input size in pixels.
    """
    height, width = shape[:2]
    longest, sides = max(height, width), list[int]()
    if windows == "on" or (windows == "auto" and longest >= HUGE_IMAGE * side):
        sides.append(min(side, math.ceil(longest / LARGE_IMAGE)))
        while 2 * sides[-1] <= LARGEST * longest:
            sides.append(2 * sides[-1])
    yield Window(0, 0, width, height), 0
    for layer, own in enumerate(reversed(sides), 1):
        for y0, y1 in _intervals(own, height):
            for x0, x1 in _intervals(own, width):
                yield Window(x0, y0, x1, y1), layer


def source_of(image: AnyImage) -> Source:
    """An image before it was resized."""
    return image.source if isinstance(image, ResizedImage) else image


def view(image: AnyImage, window: Window) -> AnyImage:
    """The part of an image in a window, which may be the whole image."""
    source = source_of(image)
    is_whole = window == (0, 0, source.shape[1], source.shape[0])
    return image if is_whole else source[window.y0 : window.y1, window.x0 : window.x1]


def is_too_large(pixels: float, image: Source) -> bool:
    """Whether the box of a mask has too many pixels; not in images whose own pixels are in memory."""
    return pixels > MAX_MASK_PIXELS and not isinstance(image, np.ndarray)


def in_crops(
    layouts: Sequence[Sequence[tuple[Window, int]]],
    find: Callable[[Sequence[Crop]], list[list[Found]]],
    merge: Callable[[list[Found], int], list[Found]],
) -> list[list[Instance]]:
    """Masks of images, found in batches of as many crops as there are images.

    Args:
        layouts: of each image, its windows and their layers.
        find: returns the masks in each of some crops.
        merge: returns those to keep of the masks in all crops of an image, and is passed their number.
    """
    crops = [Crop(row, *own) for row, layout in enumerate(layouts) for own in layout]
    found: list[list[Found]] = [[] for _ in layouts]
    for start in range(0, len(crops), max(len(layouts), 1)):
        batch = crops[start : start + len(layouts)]
        for crop, masks in zip(batch, find(batch), strict=True):
            found[crop.row] += masks
    pairs = zip(found, layouts, strict=True)
    return [[own.instance for own in merge(masks, len(layout))] for masks, layout in pairs]


def nms(found: Sequence[Found], scores: Sequence[float], iou_threshold: float) -> list[Found]:
    """Box-based non-maximum suppression; returns the kept masks by descending score."""
    import torch
    from torchvision.ops import nms as box_nms  # lazy, because the import is slow

    boxes = torch.tensor([own.box for own in found], dtype=torch.float32).reshape(len(found), 4)
    return [found[n] for n in box_nms(boxes, torch.tensor(scores), iou_threshold).tolist()]


def merged(found: Sequence[Found], iou_threshold: float) -> list[Found]:
    """Non-maximum suppression of the masks of several crops: those of smaller crops first, then the earlier ones."""
    return nms(found, [1 / own.crop.area for own in found], iou_threshold)


def _intervals(side: int, length: int) -> list[tuple[int, int]]:
    """Evenly spaced intervals of at most `side` pixels that cover 0 to `length` with `OVERLAP`."""
    if side >= length:
        return [(0, length)]
    count = math.ceil((length - OVERLAP * side) / ((1 - OVERLAP) * side))
    starts = [round(n * (length - side) / (count - 1)) for n in range(count)]
    return [(start, start + side) for start in starts]


def _interval(low: float, high: float, side: int, length: int) -> tuple[int, int]:
    """An interval of `side` pixels, at most `length`, around the middle of another, moved within 0 and `length`."""
    own = min(side, length)
    start = min(max(round((low + high - own) / 2), 0), length - own)
    return start, start + own
