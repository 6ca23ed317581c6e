"""One image of a run, looked at: its masks measured, and the pictures of it that the page shows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from ..errors import HqsamError, ImageError
from ..formats.picture_writer import read_thumbnail, thumbnail_of_run, write_picture, write_thumbnail
from ..formats.segmentation import decode_crop
from ..formats.values import identifier, number_or_none, read_numbers
from ..io.images import stored_orientation
from ..io.places import is_address
from ..records import MaskCrop
from .results import ResultImage, read_photo
from .suspicion import PARTS, measure_masks

QUALITY = 90  # of the JPEG of a photo that browsers do not show
SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".bmp", ".avif")


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What is known of an image and its masks.

    Attributes:
        annotations: what is known of each mask; see `_sound`.
        measured: float (n, measures), see `suspicion.measure_masks`.
        thumbnail, photo: addresses relative to the report; None where there is none.
        problem: why there is neither.
    """

    image: ResultImage
    annotations: list[dict[str, Any]]
    measured: np.ndarray
    thumbnail: str | None = None
    photo: str | None = None
    problem: str | None = None


def look_at(image: ResultImage, number: int, report: Path, *, exif: str, max_pixels: int) -> LookedAt:
    """Measure the masks of an image, and write its thumbnail, unless the run did.

    Args:
        number: of the image in the run; its pictures are called so, whatever characters its name has.
        report: the folder of the report, in that of the run.

    Raises:
        HqsamError: a segmentation is none.
    """
    if image.size is None:
        return LookedAt(image, [], np.zeros((0, len(PARTS))))
    small, problem = thumbnail_of_run(report.parent, image.file_name), None
    photo: np.ndarray | None
    try:
        photo, at_hand = read_photo(image, exif=exif, max_pixels=max_pixels), True
    except ImageError as error:
        photo, at_hand = None if small is None else read_thumbnail(small, image.size), False
        problem = None if photo is not None else str(error)
    pairs = [_sound(annotation, image, image.size) for annotation in image.annotations]
    sound = [annotation for annotation, _ in pairs]
    # A box in the file that is not that of the mask is of what the mask should be.
    asked = [
        {"prompt_box": read_numbers(given.get("bbox"), 4), **annotation}
        for given, annotation in zip(image.annotations, sound, strict=True)
    ]
    measured = measure_masks(asked, [mask for _, mask in pairs], photo)
    if photo is None:
        return LookedAt(image, sound, measured, problem=problem)
    if small is None:
        small = report / "thumbnails" / f"{number}.jpg"
        write_thumbnail(small, photo)
    thumbnail = _address(small, report)
    if not at_hand:
        return LookedAt(image, sound, measured, thumbnail)
    assert image.path is not None
    if _as_it_is(image.path, exif):
        return LookedAt(image, sound, measured, thumbnail, _address(image.path, report))
    copy = report / "photos" / f"{number}.jpg"
    write_picture(copy, photo, QUALITY)
    return LookedAt(image, sound, measured, thumbnail, _address(copy, report))


def _sound(annotation: dict[str, Any], image: ResultImage, size: tuple[int, int]) -> tuple[dict[str, Any], MaskCrop]:
    """What an annotation says of its mask, with RLE, area and box of it whatever the file said; and the mask."""
    sound: dict[str, Any] = {name: identifier(annotation.get(name)) for name in ("id", "category_id")}
    for name in ("score", "predicted_iou", "prompt_id"):
        if (value := number_or_none(annotation.get(name))) is not None:
            sound[name] = value
    if (box := read_numbers(annotation.get("prompt_box"), 4)) is not None:
        sound["prompt_box"] = box
    shape, mask = _shape(annotation, image, size)
    if isinstance(annotation.get("sam"), dict):
        sound["sam"], _ = _shape(annotation["sam"], image, size)
    return {**sound, **shape}, mask


def _shape(given: dict[str, Any], image: ResultImage, size: tuple[int, int]) -> tuple[dict[str, Any], MaskCrop]:
    try:
        mask = decode_crop(given["segmentation"], *size)
    except (KeyError, ValueError) as error:
        reason = f"a segmentation {error}"
        raise HqsamError(reason, file=image.file_name, remedy="run hqsam segment again") from None
    shape = {"segmentation": mask.rle, "area": int(mask.bits.sum()), "bbox": list(mask.tight_box())}
    return shape, mask


def _as_it_is(path: str, exif: str) -> bool:
    """Whether a browser shows a photo as it was read; browsers turn it as EXIF says."""
    is_shown = not is_address(path) and path.lower().endswith(SHOWN_BY_BROWSERS)
    return is_shown and (exif == "apply" or stored_orientation(path) == 1)


def _address(path: str | Path, report: Path) -> str:
    """Of a file, relative to the report, as browsers want it."""
    return quote(os.fsencode(os.path.relpath(path, report)))
