"""Rasterize polygons as the programs do that read them, to compare what they see with the masks.

`pycocotools` and CVAT set the pixels whose centers are inside; OpenCV and Pillow, and thus ultralytics, supervision
and labelme, truncate coordinates to pixel indices and set every pixel that the outline touches.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib import import_module
from typing import TypeAlias, cast

import numpy as np

from ..configs.formats import MASK_FORMATS
from ..records import DECIMALS, MaskCrop

Parts: TypeAlias = list[list[float]]  # x, y, x, y, … of each part of a mask, in pixels
Rasterize: TypeAlias = Callable[[Parts, int, int], np.ndarray]  # of parts, width and height, to a mask (height, width)


def by_pycocotools(parts: Parts, width: int, height: int) -> np.ndarray:
    """The pixels whose centers are inside, as in CVAT and all that read COCO with `pycocotools`."""
    from pycocotools import mask as coco_mask

    return np.asarray(coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(parts, height, width))))


def by_pillow(parts: Parts, width: int, height: int) -> np.ndarray:
    """The pixels inside or on the outline, as in labelme's `shape_to_mask`."""
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (width, height))
    for part in parts:
        ImageDraw.Draw(canvas).polygon(part, fill=1, outline=1)
    return np.asarray(canvas)


def rasterizer(form: str) -> Rasterize:
    """How the programs that read a format of `MASK_FORMATS` rasterize its polygons."""
    module, _, name = MASK_FORMATS[form].rasterized.partition(".")
    return cast(Rasterize, getattr(import_module(f"{__package__}.{module}"), name))


def ious(parts: Parts, mask: MaskCrop, forms: Collection[str]) -> dict[str, float]:
    """IoU of a mask with its polygons as the readers of each format rasterize them; 1 without polygons.

    Args:
        parts: polygons within the crop of the mask.
    """
    height, width = mask.bits.shape
    moved = [(np.reshape(part, (-1, 2)) - (mask.x, mask.y)).ravel().tolist() for part in parts]
    found = {}
    for draw in {rasterizer(form) for form in forms}:
        drawn = draw(moved, width, height).astype(bool) if parts else mask.bits
        union = np.count_nonzero(drawn | mask.bits)
        found[draw] = np.count_nonzero(drawn & mask.bits) / union if union else 1.0
    return {form: round(float(found[rasterizer(form)]), DECIMALS) for form in forms}


def with_pixels(parts: Parts, width: int, height: int) -> Parts:
    """The polygons that have a pixel by the rule of `pycocotools`; OpenCV and Pillow draw others as lines."""
    from pycocotools import mask as coco_mask

    rles = coco_mask.frPyObjects(parts, height, width)
    return [
        part for part, rle in zip(parts, rles, strict=True) if coco_mask.area(rle)
    ]  # `area` takes up to 255 at once
