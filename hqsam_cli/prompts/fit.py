"""Prompts against the image as it was decoded: clipped, checked, with their masks as pixels."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import ImageError
from ..io.masks import mask_pixels
from ..records import ImagePrompts, Prompt

Box = tuple[float, float, float, float]


def fit_to_frame(image: ImagePrompts, width: int, height: int) -> tuple[list[Prompt], list[str]]:
    """Prompts that can be asked of an image of that size, and a sentence for each part that cannot.

    Boxes are clipped to the image, `frame` and `shares` become boxes, points outside are dropped, coarse masks become
    bool arrays (height, width). A prompt stays while a part of it does.

    Raises:
        ImageError: the prompts are for an image of another size, so nothing in them would fit.
    """
    if image.prompts and image.size is not None and image.size != (width, height):
        turned = image.size == (height, width)
        remedy = "change --exif, which turns it the other way" if turned else "rescale its boxes, or correct that size"
        raise ImageError(
            f"{image.file_name}: is {width} x {height} pixels, but its prompts are for "
            f"{image.size[0]} x {image.size[1]}; {remedy}"
        )
    fitted, problems = [], []
    for prompt in image.prompts:
        prompt, lost = _fitted(prompt, width, height)
        problems += [f"{image.file_name}: {text}" for text in lost]
        if prompt.box is not None or prompt.points is not None or prompt.mask is not None:
            fitted.append(prompt)
    return fitted, problems


def _fitted(prompt: Prompt, width: int, height: int) -> tuple[Prompt, list[str]]:
    """What of the prompt is within the image, and what is lost."""
    lost = []
    box, points, mask = prompt.box, prompt.points, prompt.mask
    if prompt.frame:
        box = (0.0, 0.0, float(width), float(height))
    elif prompt.shares is not None:
        x0, y0, x1, y1 = prompt.shares
        box = (x0 * width, y0 * height, x1 * width, y1 * height)
    if box is not None:
        box = _clipped(box, width, height)
        if box is None:
            lost.append(f"box {prompt.annotation_id} lies outside the image; left out")
    if points is not None:
        x, y = points[:, 0], points[:, 1]
        inside = (x >= 0) & (y >= 0) & (x <= width) & (y <= height)
        if not inside.all():
            outside = f"{len(points) - inside.sum()} of {len(points)}"
            lost.append(f"points of prompt {prompt.annotation_id} lie outside the image: {outside}; left out")
        points = points[inside] if inside.any() else None
    if mask is not None:
        mask, reason = _mask(mask, width, height)
        if reason:
            lost.append(f"coarse mask of prompt {prompt.annotation_id} {reason}; left out")
    return replace(prompt, box=box, points=points, mask=mask), lost


def _clipped(box: Box, width: int, height: int) -> Box | None:
    """The part of a box within the image; None where there is none."""
    x0, y0, x1, y1 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _mask(source: Any, width: int, height: int) -> tuple[np.ndarray | None, str]:
    """The pixels of a coarse mask, or None and the reason."""
    try:
        mask = mask_pixels(source, width, height)
    except ValueError as error:
        return None, str(error)
    return (mask, "") if mask.any() else (None, "is empty")
