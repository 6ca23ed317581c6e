"""Overlays and thumbnails of the images of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..errors import ImageError
from ..io.atomic import write_file
from ..io.images import read_image
from ..records import Annotation
from .image_writer import ImageResult, ImageWriter
from .overlay import overlay
from .values import UNNAMED

JPEG_QUALITY, THUMBNAIL_QUALITY = 92, 80
LONGEST_SIDE = 480  # of a thumbnail, pixels


class OverlayWriter(ImageWriter):
    """`overlays/<path of the image>.jpg`: images with masks drawn on them."""

    folder = "overlays"
    suffix = ".jpg"
    draws = True

    def pictures(self, result: ImageResult) -> list[bytes]:
        """See `ImageWriter`."""
        assert result.pixels is not None
        masks = [instance.mask.full() for instance in result.instances]
        names = {category["id"]: str(category.get("name")) for category in self.categories}
        return [picture_bytes(self.suffix, draw(result.pixels, result.annotations, masks, names))]


class ThumbnailWriter(ImageWriter):
    """`thumbnails/<path of the image>.jpg`, written while the photos are in memory."""

    folder = "thumbnails"
    suffix = ".jpg"
    draws = True

    def pictures(self, result: ImageResult) -> list[bytes]:
        """See `ImageWriter`."""
        assert result.pixels is not None
        return [thumbnail_bytes(result.pixels)]


def thumbnail_of_run(run: Path, file_name: str) -> Path | None:
    """The thumbnail of an image in the output of a run, or None."""
    path = run / ThumbnailWriter.folder / f"{file_name}.jpg"
    return path if path.is_file() else None


def thumbnail_bytes(pixels: np.ndarray) -> bytes:
    """Thumbnail of a photo, uint8 RGB (H, W, 3), as JPEG."""
    scale = min(1.0, LONGEST_SIDE / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return picture_bytes(".jpg", cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), THUMBNAIL_QUALITY)


def read_thumbnail(path: Path, size: tuple[int, int]) -> np.ndarray | None:
    """Read a thumbnail, resized to (width, height) of its photo: uint8 RGB (H, W, 3); None if it is broken."""
    try:
        small = read_image(str(path), max_pixels=LONGEST_SIDE**2)
    except ImageError:
        return None
    return cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)


def draw(
    photo: np.ndarray, annotations: Sequence[Annotation], masks: list[np.ndarray], names: Mapping[int, str]
) -> np.ndarray:
    """Draw masks, prompt boxes and labels on a photo: uint8 RGB of the same size.

    The default category, which says nothing, is not in labels with a score. Annotations without a mask have their box.

    Args:
        masks: one per annotation, bool (H, W).
        names: category names by id.
    """
    labels, boxes = [], []
    for annotation, mask in zip(annotations, masks, strict=True):
        category, score = annotation.get("category_id", 0), annotation.get("score")
        name = names.get(category, f"category {category}")
        shown = [name] if score is None or name != UNNAMED else []
        labels.append(" ".join([*shown, *([] if score is None else [f"{score:.2f}"])]))
        boxes.append(annotation.get("prompt_box") or (None if mask.any() else annotation.get("bbox")))
    return overlay(photo, masks, labels, boxes)


def write_picture(path: Path, pixels: np.ndarray, quality: int = JPEG_QUALITY) -> None:
    """Write uint8 RGB (H, W, 3) in the format of the suffix; see `picture_bytes`."""
    write_file(path, picture_bytes(path.suffix.lower(), pixels, quality, path))


def picture_bytes(suffix: str, pixels: np.ndarray, quality: int = JPEG_QUALITY, path: Path | None = None) -> bytes:
    """Encode pixels, uint8 RGB (H, W, 3), in the format of a suffix.

    Args:
        quality: JPEG quality.
        path: file named in the error.

    Raises:
        ImageError: the format is not supported.
    """
    try:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        done, encoded = cv2.imencode(suffix, np.ascontiguousarray(pixels[..., ::-1]), options)
    except cv2.error:
        done = False
    if not done:
        raise ImageError("unsupported picture format", file=path, remedy="use .png or .jpg")
    return encoded.tobytes()
