"""One image of a run, looked at: its masks measured, and the pictures of it that the page shows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from ..errors import HqsamError, ImageError
from ..formats.segmentation import decode_crop, encode_crop
from ..formats.values import identifier, number_or_none, read_numbers
from ..io.atomic import atomic_file
from ..io.images import stored_orientation
from ..records import MaskCrop
from .results import ResultImage, read_photo
from .suspicion import PARTS, measure_masks

THUMBNAIL = 480  # pixels of the longer side
QUALITY, FULL_QUALITY = 80, 90  # of JPEG
SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".bmp", ".avif")


@dataclass(frozen=True, slots=True)
class LookedAt:
    """What is known of an image and its masks.

    Attributes:
        annotations: what is known of each mask; see `_sound`.
        measured: float (n, measures), see `suspicion.measure_masks`.
        thumbnail, photo: addresses relative to the report; None where there is no photo.
        problem: why not.
    """

    image: ResultImage
    annotations: list[dict[str, Any]]
    measured: np.ndarray
    thumbnail: str | None = None
    photo: str | None = None
    problem: str | None = None


def look_at(image: ResultImage, number: int, report: Path, *, exif: str, max_pixels: int) -> LookedAt:
    """Measure the masks of an image, and write its thumbnail.

    Args:
        number: of the image in the run; its pictures are called so, whatever characters its name has.
        report: the folder of the report.

    Raises:
        HqsamError: a segmentation is none.
    """
    if image.size is None:
        return LookedAt(image, [], np.zeros((0, len(PARTS))))
    photo, problem = None, None
    try:
        photo = read_photo(image, exif=exif, max_pixels=max_pixels)
    except ImageError as error:
        problem = str(error)
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
    assert image.path is not None
    thumbnail = f"thumbnails/{number}.jpg"
    scale = min(1.0, THUMBNAIL / max(photo.shape[:2]))
    size = (max(1, round(photo.shape[1] * scale)), max(1, round(photo.shape[0] * scale)))
    _write_jpeg(report / thumbnail, cv2.resize(photo, size, interpolation=cv2.INTER_AREA), QUALITY)
    if _as_it_is(image.path, exif):
        return LookedAt(image, sound, measured, thumbnail, _address(image.path, report))
    copy = f"photos/{number}.jpg"
    _write_jpeg(report / copy, photo, FULL_QUALITY)
    return LookedAt(image, sound, measured, thumbnail, copy)


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
    shape = {"segmentation": encode_crop(mask), "area": int(mask.bits.sum()), "bbox": list(mask.tight_box())}
    return shape, mask


def _as_it_is(path: str, exif: str) -> bool:
    """Whether a browser shows a photo as it was read; browsers turn it as EXIF says."""
    return path.lower().endswith(SHOWN_BY_BROWSERS) and (exif == "apply" or stored_orientation(path) == 1)


def _address(path: str, report: Path) -> str:
    """Of a file, relative to the report, as browsers want it."""
    return quote(os.fsencode(os.path.relpath(path, report)))


def _write_jpeg(path: Path, pixels: np.ndarray, quality: int) -> None:
    encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    with atomic_file(path) as file:
        file.write(encoded.tobytes())
