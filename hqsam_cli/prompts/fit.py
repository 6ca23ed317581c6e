"""Fit prompts to a decoded image: clip and validate them, and read their masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from ..errors import ImageError
from ..formats.segmentation import decode_segmentation
from ..io.masks import read_mask
from ..records import Box, ImagePrompts, NormalizedPolygon, Prompt, RawPrompt, Segmentation


def fit_prompts(
    image: ImagePrompts, width: int, height: int, turn: Image.Transpose | None = None
) -> tuple[list[Prompt], list[str]]:
    """Fit prompts to an image size; return usable prompts, and a message per dropped part.

    Boxes are clipped to the image, normalized boxes become pixels, points outside are dropped, and coarse masks become
    arrays. A prompt is kept if any part of it is usable.

    Args:
        turn: transpose of masks drawn in the other orientation than the photo was read in: its EXIF transpose if that
            was applied to the photo, otherwise the inverse.

    Raises:
        ImageError: the prompts are for an image of another size.
    """
    if image.prompts and image.size is not None and image.size != (width, height):
        turned = image.size == (height, width)
        remedy = (
            "change `exif`, since width and height are swapped" if turned else "rescale its boxes, or fix that size"
        )
        raise ImageError(
            f"is {width} x {height} pixels, but its prompts are for {image.size[0]} x {image.size[1]}",
            file=image.file_name,
            remedy=remedy,
        )
    fitted, problems = [], []
    for raw in image.prompts:
        prompt, lost = _fit(raw, width, height, turn)
        problems += [f"{image.file_name}: {text}" for text in lost]
        if prompt.box is not None or prompt.points is not None or prompt.mask is not None:
            fitted.append(prompt)
    return fitted, problems


def _fit(raw: RawPrompt, width: int, height: int, turn: Image.Transpose | None) -> tuple[Prompt, list[str]]:
    """The parts of a prompt within the image, and messages about dropped parts."""
    lost = []
    box, points, mask = raw.box, raw.points, None
    if raw.xyxyn is not None:
        x0, y0, x1, y1 = raw.xyxyn
        box = (x0 * width, y0 * height, x1 * width, y1 * height)
    if box is not None:
        box = _clip(box, width, height)
        if box is None:
            lost.append(f"box {raw.annotation_id} lies outside the image; skipped")
    if points is not None:
        x, y = points[:, 0], points[:, 1]
        inside = (x >= 0) & (y >= 0) & (x <= width) & (y <= height)
        if not inside.all():
            outside = f"{len(points) - inside.sum()} of {len(points)}"
            lost.append(f"points of prompt {raw.annotation_id} lie outside the image: {outside}; skipped")
        points = points[inside] if inside.any() else None
    if raw.mask is not None:
        mask, reason = _coarse_mask(raw.mask, width, height, turn)
        if reason:
            lost.append(f"coarse mask of prompt {raw.annotation_id} {reason}; skipped")
    return Prompt(raw.annotation_id, raw.category_id, box, points, mask, raw.score), lost


def _clip(box: Box, width: int, height: int) -> Box | None:
    """Clip a box to the image; None if it is outside."""
    x0, y0, x1, y1 = max(box[0], 0.0), max(box[1], 0.0), min(box[2], float(width)), min(box[3], float(height))
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _coarse_mask(
    source: Segmentation | NormalizedPolygon | Path, width: int, height: int, turn: Image.Transpose | None
) -> tuple[np.ndarray | None, str]:
    """The pixels of a coarse mask, or None and the reason."""
    try:
        if isinstance(source, NormalizedPolygon):
            source = [[n * (height if odd % 2 else width) for odd, n in enumerate(source.xyn)]]
        mask = read_mask(source) if isinstance(source, Path) else decode_segmentation(source, width, height)
    except (ImageError, ValueError) as error:
        return None, f"cannot be read, {error}" if isinstance(error, ImageError) else str(error)
    if mask.shape == (width, height) != (height, width) and turn is not None:
        mask = np.asarray(Image.fromarray(mask).transpose(turn))
    if mask.shape != (height, width):
        return None, f"is {mask.shape[1]} x {mask.shape[0]} pixels, the image {width} x {height}"
    return (mask, "") if mask.any() else (None, "is empty")
