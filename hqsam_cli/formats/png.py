"""Masks as PNG files: one bit an instance, or one id map an image."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..errors import ImageError
from ..io.atomic import atomic_file
from ..records import Instance

MAX_ID = 65_535
MASK_NAME = re.compile(r"-?\d+\.png")


def write_masks(folder: Path, instances: list[Instance], annotations: list[dict[str, Any]]) -> None:
    """`<folder>/<annotation id>.png`, 1 bit a pixel, for each instance; masks of an earlier run go."""
    remove_masks(folder, keep={f"{annotation['id']}.png" for annotation in annotations})
    for instance, annotation in zip(instances, annotations, strict=True):
        pixels = instance.mask.full().astype(np.uint8) * 255
        _write_png(folder / f"{annotation['id']}.png", pixels, [cv2.IMWRITE_PNG_BILEVEL, 1])


def remove_masks(folder: Path, keep: Collection[str] = ()) -> None:
    """Take away the masks of an image, but for those of the names to keep; other people's files stay."""
    for mask in folder.glob("*.png"):
        if MASK_NAME.fullmatch(mask.name) and mask.name not in keep:
            mask.unlink()


def write_id_map(
    path: Path, instances: list[Instance], annotations: list[dict[str, Any]], size: tuple[int, int]
) -> None:
    """One 16-bit PNG whose pixels are 0, or the place (from 1) of the instance among the image's annotations.

    Where masks overlap, the one with the higher score is on top, then the earlier one.

    Raises:
        ImageError: more instances than 16 bits can count.
    """
    if len(instances) > MAX_ID:
        raise ImageError(f"{path}: {len(instances)} masks do not fit a 16-bit id map; leave --format idmap out")
    width, height = size
    ids = np.zeros((height, width), np.uint16)
    order = sorted(range(len(instances)), key=lambda i: (annotations[i]["score"], -i))
    for index in order:
        mask = instances[index].mask
        rows, columns = mask.bits.shape
        ids[mask.y : mask.y + rows, mask.x : mask.x + columns][mask.bits] = index + 1
    _write_png(path, ids, [])


def _write_png(path: Path, pixels: np.ndarray, options: list[int]) -> None:
    done, encoded = cv2.imencode(".png", pixels, options)
    if not done:
        raise ImageError(
            f"{path}: OpenCV cannot write {pixels.shape[1]} x {pixels.shape[0]} pixels as PNG; use --format coco"
        )
    with atomic_file(path) as file:
        file.write(encoded.tobytes())
