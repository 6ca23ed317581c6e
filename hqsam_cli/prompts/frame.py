"""Prompts against the image as it was decoded: clipped, checked, with their masks as pixels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import ImageError
from ..records import ImagePrompts, Prompt


def fit_to_frame(image: ImagePrompts, width: int, height: int) -> tuple[list[Prompt], list[str]]:
    """Prompts that can be asked of an image of that size, and a sentence for each that cannot.

    Boxes are clipped to the image, `frame` becomes a box, points outside are dropped, coarse masks become
    bool arrays (height, width).

    Raises:
        ImageError: the prompt file speaks of an image of another size, so nothing in it would fit.
    """
    if image.size is not None and image.size != (width, height):
        turned = image.size == (height, width)
        remedy = "turn EXIF handling with --exif" if turned else "rescale its boxes, or correct its width and height"
        raise ImageError(
            f"{image.file_name}: is {width} x {height} pixels, but its prompts are for "
            f"{image.size[0]} x {image.size[1]}; {remedy}"
        )
    kept, problems = [], []
    for prompt in image.prompts:
        try:
            kept.append(_fitted(prompt, width, height))
        except ValueError as error:
            problems.append(f"{image.file_name}: prompt {prompt.annotation_id} {error}; left out")
    return kept, problems


def _fitted(prompt: Prompt, width: int, height: int) -> Prompt:
    """The prompt within the image; a ValueError says why there is nothing left of it."""
    if prompt.frame:
        return replace(prompt, box=(0.0, 0.0, float(width), float(height)))
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        box = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
        if box[0] >= box[2] or box[1] >= box[3]:
            raise ValueError("has a box that lies outside the image")
        prompt = replace(prompt, box=box)
    if prompt.points is not None:
        x, y = prompt.points[:, 0], prompt.points[:, 1]
        points = prompt.points[(x >= 0) & (y >= 0) & (x <= width) & (y <= height)]
        if not len(points):
            raise ValueError("has only points that lie outside the image")
        prompt = replace(prompt, points=points)
    if prompt.mask is not None:
        mask = _mask_pixels(prompt.mask, width, height)
        if mask.shape != (height, width):
            raise ValueError(f"has a coarse mask of {mask.shape[1]} x {mask.shape[0]} pixels, not {width} x {height}")
        prompt = replace(prompt, mask=mask)
    return prompt


def _mask_pixels(source: Any, width: int, height: int) -> np.ndarray:
    """A coarse mask as bool pixels of its own size; a ValueError says what is wrong with it."""
    if isinstance(source, Path):
        encoded = np.fromfile(source, np.uint8) if source.is_file() else np.zeros(0, np.uint8)
        grey = cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE) if len(encoded) else None
        if grey is None:
            raise ValueError(f"has a coarse mask that cannot be read, {source}")
        return grey > (127 if grey.max(initial=0) > 1 else 0)

    from pycocotools import mask as coco_mask

    try:
        if isinstance(source, list):
            polygons = [p for p in source if isinstance(p, list) and len(p) >= 6]
            if not polygons:
                raise ValueError
            return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))).astype(bool)
        size, counts = source["size"], source["counts"]
        if [int(n) for n in size] != [height, width]:
            return np.zeros([int(n) for n in size], bool) if max(size) < 100_000 else np.zeros((1, 1), bool)
        if isinstance(counts, list):
            return _decoded_runs(counts, width, height)
        rle = {"size": [height, width], "counts": counts.encode("ascii")}
        # A string whose runs do not add up would be decoded past its end.
        if int(coco_mask.area(rle)) > width * height:
            raise ValueError
        return coco_mask.decode(rle).astype(bool)
    except (ValueError, TypeError, KeyError, AttributeError, UnicodeError, OverflowError):
        raise ValueError("has a segmentation that is neither RLE nor polygons") from None


def _decoded_runs(counts: list[Any], width: int, height: int) -> np.ndarray:
    """Uncompressed COCO runs, down the columns, starting with zeros."""
    runs = np.array([int(n) for n in counts], np.int64)
    if (runs < 0).any() or runs.sum() != width * height:
        raise ValueError
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(width, height).T
