"""Pictures, and the formats that are a picture an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from ..errors import ImageError
from ..io.atomic import write_file
from ..io.images import read_image
from .overlay import overlay
from .ownership import ImageFiles
from .run_records import ImageResult, RunRecords

JPEG_QUALITY, THUMBNAIL_QUALITY = 92, 80
LONGEST_SIDE = 480  # of a thumbnail, pixels


class PictureWriter:
    """`<folder>/<path of the image><suffix>`.

    Attributes:
        folder: of all of them.
        suffix: of their names.
    """

    fills_folder = True
    folder: ClassVar[str]
    suffix: ClassVar[str]

    def __init__(self, output: Path, _run: RunRecords) -> None:
        self.path = output / self.folder

    def place(self, file_name: str) -> Path:
        """Where the picture of an image is."""
        return self.path / f"{file_name}{self.suffix}"

    def foreign(self) -> Path | None:
        """See `Writer`."""
        return next(self.path.rglob(f"*{self.suffix}"), None)

    def is_complete(self, file_name: str, count: int) -> bool:
        """See `Writer`."""
        return self.place(file_name).is_file()

    def write(self, result: ImageResult) -> None:
        """See `Writer`."""
        raise NotImplementedError

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """See `Writer`."""
        files.remove(self.place(file_name))

    def close(self) -> None:
        """Nothing: all is in place."""


class OverlayWriter(PictureWriter):
    """`overlays/<path of the image>.jpg`: the images of a run with their masks drawn over them."""

    folder = "overlays"
    suffix = ".jpg"

    def __init__(self, output: Path, run: RunRecords) -> None:
        super().__init__(output, run)
        self._names = {category["id"]: str(category.get("name")) for category in run.categories}

    def write(self, result: ImageResult) -> None:
        """See `Writer`."""
        assert result.pixels is not None
        masks = [instance.mask.full() for instance in result.instances]
        drawn = draw(result.pixels, result.annotations, masks, self._names)
        write_picture(self.place(result.file_name), drawn, put=result.files.put)


class ThumbnailWriter(PictureWriter):
    """`thumbnails/<path of the image>.jpg`, made while the photos are in memory anyway."""

    folder = "thumbnails"
    suffix = ".jpg"

    def write(self, result: ImageResult) -> None:
        """See `Writer`."""
        assert result.pixels is not None
        write_thumbnail(self.place(result.file_name), result.pixels, result.files.put)


def thumbnail_of_run(run: Path, file_name: str) -> Path | None:
    """The thumbnail that a run made of an image, if it made one."""
    path = run / ThumbnailWriter.folder / f"{file_name}{ThumbnailWriter.suffix}"
    return path if path.is_file() else None


def write_thumbnail(path: Path, pixels: np.ndarray, put: Callable[[Path, bytes], None] = write_file) -> None:
    """Write a photo, uint8 RGB (H, W, 3), made small."""
    scale = min(1.0, LONGEST_SIDE / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    write_picture(path, cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), THUMBNAIL_QUALITY, put)


def read_thumbnail(path: Path, size: tuple[int, int]) -> np.ndarray | None:
    """A thumbnail as large as its photo, (width, height), was: uint8 RGB (H, W, 3); None where it is broken."""
    try:
        small = read_image(str(path), max_pixels=LONGEST_SIDE**2)
    except ImageError:
        return None
    return cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)


def draw(
    photo: np.ndarray, annotations: Sequence[Mapping[str, Any]], masks: list[np.ndarray], names: Mapping[Any, str]
) -> np.ndarray:
    """A photo with masks, the boxes that were asked for, and labels: uint8 RGB of its size.

    Args:
        masks: of the annotations, bool (H, W) each.
        names: of categories, by id.
    """
    labels = []
    for annotation in annotations:
        category = annotation.get("category_id")
        name = names.get(category, f"category {category}")
        score = annotation.get("score")
        labels.append(name if score is None else f"{name} {score:.2f}")
    return overlay(photo, masks, labels, [annotation.get("prompt_box") for annotation in annotations])


def write_picture(
    path: Path, pixels: np.ndarray, quality: int = JPEG_QUALITY, put: Callable[[Path, bytes], None] = write_file
) -> None:
    """Write uint8 RGB (H, W, 3) in the format of the path's suffix.

    Args:
        quality: of JPEG.

    Raises:
        ImageError: there is no such format.
    """
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    try:
        done, encoded = cv2.imencode(path.suffix.lower(), np.ascontiguousarray(pixels[..., ::-1]), options)
    except cv2.error:
        done = False
    if not done:
        raise ImageError("no picture can be written as that", file=path, remedy="call it .png or .jpg")
    put(path, encoded.tobytes())
