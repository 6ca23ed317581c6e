"""Masks as PNG files: `masks/<path of the image>/<annotation id>.png`, one bit a pixel."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from ..errors import ImageError
from ..io.atomic import write_file
from ..records import Instance
from .ownership import ImageFiles
from .run_records import ImageResult, RunRecords

MASK_NAME = re.compile(r"-?\d+\.png")


class PngWriter:
    """A PNG a mask.

    Attributes:
        folder: of all of them.
        options: of OpenCV, for the PNG.
    """

    fills_folder = True
    suffix = None
    folder: ClassVar[str] = "masks"
    options: ClassVar[Sequence[int]] = (cv2.IMWRITE_PNG_BILEVEL, 1)

    def __init__(self, output: Path, _run: RunRecords) -> None:
        self.path = output / self.folder

    def pixels(self, result: ImageResult, instance: Instance) -> np.ndarray:
        """What the file of a mask shows, uint8, in OpenCV's order of colors."""
        return instance.mask.full().astype(np.uint8) * 255

    def foreign(self) -> Path | None:
        """See `Writer`."""
        return next((path for path in self.path.rglob("*.png") if MASK_NAME.fullmatch(path.name)), None)

    def is_complete(self, file_name: str, count: int) -> bool:
        """See `Writer`."""
        return len(_masks(self.path / file_name)) >= count  # there may be some that somebody edited beside them

    def write(self, result: ImageResult) -> None:
        """See `Writer`."""
        folder, files = self.path / result.file_name, result.files
        remove_masks(folder, {f"{annotation['id']}.png" for annotation in result.annotations}, files.remove)
        for instance, annotation in zip(result.instances, result.annotations, strict=True):
            write_png(folder / f"{annotation['id']}.png", self.pixels(result, instance), self.options, files.put)

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """See `Writer`."""
        remove_masks(self.path / file_name, (), files.remove)

    def close(self) -> None:
        """Nothing: all is in place."""


def remove_masks(folder: Path, keep: Collection[str] = (), remove: Callable[[Path], None] = Path.unlink) -> None:
    """Take away the masks of an image, but for those of the names to keep; other people's files stay."""
    for mask in _masks(folder):
        if mask.name not in keep:
            remove(mask)
    if not keep:
        with suppress(OSError):  # it holds something else, or is not there
            folder.rmdir()


def _masks(folder: Path) -> list[Path]:
    """The masks of an image that are there."""
    return [mask for mask in folder.glob("*.png") if MASK_NAME.fullmatch(mask.name)]


def write_png(
    path: Path, pixels: np.ndarray, options: Sequence[int] = (), put: Callable[[Path, bytes], None] = write_file
) -> None:
    """A PNG of OpenCV, whole or not at all."""
    done, encoded = cv2.imencode(".png", pixels, options)
    if not done:
        raise ImageError(
            f"OpenCV cannot write {pixels.shape[1]} x {pixels.shape[0]} pixels as PNG",
            file=path,
            remedy="use `format` coco",
        )
    put(path, encoded.tobytes())
