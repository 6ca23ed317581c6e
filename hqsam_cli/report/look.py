"""Measure the masks of an image of a run, and write its pictures for the report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import numpy as np

from ..errors import HqsamError, ImageError
from ..formats.picture_writer import read_thumbnail, thumbnail_bytes, thumbnail_of_run, write_picture
from ..formats.segmentation import decode_crop
from ..formats.values import identifier, number_or_none, read_numbers
from ..io.addresses import is_address
from ..io.atomic import write_file
from ..io.images import read_header
from ..records import Annotation, MaskCrop
from .photos import Photo
from .suspicion import PARTS, measure_masks

QUALITY = 90  # JPEG quality of photos that browsers cannot show
SHOWN_BY_BROWSERS = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".webp", ".bmp", ".avif")


@dataclass(frozen=True, slots=True)
class LookedAt:
    """An image and its measured masks.

    Attributes:
        annotations: validated annotations; see `validated`.
        measured: float (n, measures), see `suspicion.measure_masks`.
        thumbnail, url: of the photo, relative to the report, or None.
        problem: why both are missing.
    """

    photo: Photo
    annotations: list[Annotation]
    measured: np.ndarray
    thumbnail: str | None = None
    url: str | None = None
    problem: str | None = None


def look_at(photo: Photo, number: int, report: Path, max_pixels: int) -> LookedAt:
    """Measure the masks of an image, and write its thumbnail unless the run has one.

    Args:
        number: index of the image in the run; names its pictures, as file names may have special characters.
        report: report folder, in the output folder of the run.

    Raises:
        HqsamError: a segmentation is invalid.
    """
    record = photo.record
    if record.size is None:
        return LookedAt(photo, [], np.zeros((0, len(PARTS))))
    small, problem = thumbnail_of_run(report.parent, record.file_name), None
    pixels: np.ndarray | None
    try:
        pixels, at_hand = photo.read(max_pixels), True
    except ImageError as error:
        pixels, at_hand = None if small is None else read_thumbnail(small, record.size), False
        problem = None if pixels is not None else str(error)
    pairs = [validated(annotation, record.file_name, record.size) for annotation in record.annotations]
    annotations = [annotation for annotation, _ in pairs]
    measured = measure_masks(
        # Without a prompt box, `bbox` may be it, if it is not the box of the mask.
        [
            cast(Annotation, {"prompt_box": read_numbers(given.get("bbox"), 4), **own})
            for given, own in zip(record.annotations, annotations, strict=True)
        ],
        [mask for _, mask in pairs],
        pixels,
    )
    if pixels is None:
        return LookedAt(photo, annotations, measured, problem=problem)
    if small is None:
        small = report / "thumbnails" / f"{number}.jpg"
        write_file(small, thumbnail_bytes(pixels))
    url = None
    if at_hand:
        assert photo.path is not None
        shown: Path | str = photo.path
        if not _is_shown(photo.path, photo.exif):
            shown = report / "photos" / f"{number}.jpg"
            write_picture(shown, pixels, QUALITY)
        url = _url(shown, report)
    return LookedAt(photo, annotations, measured, _url(small, report), url)


def validated(annotation: Annotation, file_name: str, size: tuple[int, int]) -> tuple[Annotation, MaskCrop]:
    """An annotation with recomputed RLE, area and box, and its mask."""
    mask = _decoded(annotation, file_name, size)
    found: dict[str, Any] = {name: identifier(annotation.get(name)) for name in ("id", "category_id")}
    found |= {"segmentation": mask.rle, "area": int(mask.bits.sum()), "bbox": list(mask.tight_box())}
    for name in ("score", "predicted_iou", "prompt_id"):
        if (value := number_or_none(annotation.get(name))) is not None:
            found[name] = value
    if (box := read_numbers(annotation.get("prompt_box"), 4)) is not None:
        found["prompt_box"] = box
    if isinstance(annotation.get("sam"), dict):
        found["sam"] = {"segmentation": _decoded(annotation["sam"], file_name, size).rle}
    return cast(Annotation, found), mask


def _decoded(given: Mapping[str, Any], file_name: str, size: tuple[int, int]) -> MaskCrop:
    try:
        return decode_crop(given["segmentation"], *size)
    except (KeyError, ValueError) as error:
        raise HqsamError(f"a segmentation {error}", file=file_name, remedy="run hqsam segment again") from None


def _is_shown(path: str, exif: str) -> bool:
    """Whether a browser shows a photo as it was read; browsers apply EXIF orientation."""
    is_known = not is_address(path) and path.lower().endswith(SHOWN_BY_BROWSERS)
    return is_known and (exif == "apply" or (header := read_header(path)) is None or header.orientation == 1)


def _url(path: str | Path, report: Path) -> str:
    """URL of a file relative to the report."""
    return quote(os.fsencode(os.path.relpath(path, report)))
