"""Pictures of the results of an image: masks with boxes and labels, or plain SAM next to HQ-SAM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import HqsamError
from ..formats.overlay import overlay, titled
from ..formats.picture_writer import draw, write_picture
from ..formats.segmentation import decode_segmentation
from ..io.atomic import writing
from .photos import Photo

PANEL = 1000  # maximum longer side of a comparison panel in pixels
INSETS = 2  # per panel, where SAM and HQ-SAM differ most
INSET_SHARE = 6  # side of an inset: the longer side of the image divided by this
ONLY_HQ, ONLY_SAM = (40, 150, 255), (255, 140, 0)
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


def draw_image(photo: Photo, path: Path, names: Mapping[int, str], *, compare: bool, max_pixels: int) -> None:
    """Write the picture of an image of a run.

    Args:
        names: category names by id.
        compare: draw SAM next to HQ-SAM.

    Raises:
        ImageError: the photo cannot be read, or the picture format is not supported.
        HqsamError: a segmentation is invalid, or the picture cannot be written.
    """
    record = photo.record
    assert record.size is not None
    pixels = photo.read(max_pixels)
    try:
        masks = [_mask(annotation, *record.size) for annotation in record.annotations]
        picture = (
            compared(pixels, masks, record.annotations) if compare else draw(pixels, record.annotations, masks, names)
        )
    except (KeyError, ValueError) as error:
        raise HqsamError(f"a segmentation {error}", file=record.file_name, remedy="run hqsam segment again") from None
    with writing(path):
        write_picture(path, picture)


def _mask(annotation: Mapping[str, Any], width: int, height: int) -> np.ndarray:
    """The mask of an annotation, bool (height, width); an empty one of a box."""
    if not annotation.get("segmentation"):
        return np.zeros((height, width), bool)
    return decode_segmentation(annotation["segmentation"], width, height)


def compared(photo: np.ndarray, masks: list[np.ndarray], annotations: Sequence[Mapping[str, Any]]) -> np.ndarray:
    """Panels SAM | HQ-SAM | difference, each above insets where the two differ most: uint8 RGB.

    Args:
        masks: HQ-SAM masks, bool (H, W) each; SAM masks are in `sam` of the annotations.
    """
    height, width = photo.shape[:2]
    plain = [decode_segmentation(annotation["sam"]["segmentation"], width, height) for annotation in annotations]
    photo, both = enlarged(photo, [*masks, *plain], PANEL)
    masks, plain = both[: len(masks)], both[len(masks) :]
    only_hq, only_sam = np.zeros(photo.shape[:2], bool), np.zeros(photo.shape[:2], bool)
    for own, sam in zip(masks, plain, strict=True):
        only_hq |= own & ~sam
        only_sam |= sam & ~own
    gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)[..., None] // 2 + 90
    difference = np.repeat(gray, 3, axis=2)
    difference[only_hq], difference[only_sam] = ONLY_HQ, ONLY_SAM
    parts = where_most(only_hq | only_sam)
    panels = {
        "SAM": overlay(photo, plain),
        "HQ-SAM": overlay(photo, masks),
        "only SAM: orange, only HQ-SAM: blue": difference,
    }
    return np.hstack([titled(with_insets(image, parts), title) for title, image in panels.items()])


def enlarged(photo: np.ndarray, masks: list[np.ndarray], side: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Enlarge a photo and its masks to a longer side of at least `side`, before drawing, so that lines stay thin."""
    if (scale := side / max(photo.shape[:2])) <= 1:
        return photo, masks
    enlarge = partial(cv2.resize, dsize=None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return enlarge(photo), [enlarge(mask.astype(np.float32)) > 0.5 for mask in masks]


def where_most(differs: np.ndarray) -> list[tuple[int, int, int]]:
    """x, y and side of disjoint squares with the most differing pixels, the fullest first."""
    height, width = differs.shape
    side = max(8, min(height, width, max(height, width) // INSET_SHARE))
    counts = np.pad(differs.astype(np.float64), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    sums = counts[side:, side:] - counts[:-side, side:] - counts[side:, :-side] + counts[:-side, :-side]
    found: list[tuple[int, int, int]] = []
    while len(found) < INSETS and sums.max() >= 0:
        y, x = (int(n) for n in np.unravel_index(int(sums.argmax()), sums.shape))
        found.append((x, y, side))
        sums[max(y - side + 1, 0) : y + side, max(x - side + 1, 0) : x + side] = -1
    return found


def with_insets(image: np.ndarray, parts: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Fit an image to a panel, frame parts of it, and add these parts magnified below."""
    scale = PANEL / max(image.shape[:2])
    size = (max(INSETS, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    whole = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    inset = size[0] // INSETS
    below = np.full((inset, size[0], 3), 255, np.uint8)
    for n, (x, y, side) in enumerate(parts):
        part = image[y : y + side, x : x + side]
        shown = cv2.resize(part, (inset, inset), interpolation=cv2.INTER_AREA if side > inset else cv2.INTER_CUBIC)
        below[:, n * inset : (n + 1) * inset] = cv2.rectangle(shown, (0, 0), (inset - 1, inset - 1), (255, 255, 255), 3)
        corners = [(round(scale * a), round(scale * b)) for a, b in ((x, y), (x + side, y + side))]
        for shade, line in (((20, 20, 20), 4), ((255, 255, 255), 2)):
            cv2.rectangle(whole, corners[0], corners[1], shade, line)
    return np.vstack([whole, below])
