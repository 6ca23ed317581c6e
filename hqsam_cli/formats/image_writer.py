"""Formats of picture files, written as soon as the masks of an image are predicted; masks as PNG, and id maps."""

from __future__ import annotations

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from ..errors import ImageError
from ..io.copies import below
from ..io.output_folder import ImageFiles, LocalFolder, open_folder
from ..records import Annotation, Category, ImageRecord, Instance

MAX_ID = 65_535  # in an id map
MASK_NAME = re.compile(r"-?\d+\.png")


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The results of one image, in memory.

    Attributes:
        record: its record in the journal.
        instances: masks in the order of `record.annotations`.
        pixels: the image, uint8 RGB (H, W, 3), for writers that draw; None if it was read in windows.
        files: its output files.
    """

    record: ImageRecord
    instances: list[Instance]
    pixels: np.ndarray | None = None
    files: ImageFiles = field(default_factory=ImageFiles)

    @property
    def file_name(self) -> str:
        """Relative file name of the image, with `/`."""
        return self.record.file_name

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the image in pixels."""
        assert self.record.size is not None
        return self.record.size

    @property
    def annotations(self) -> list[Annotation]:
        """Annotations of the masks."""
        return self.record.annotations


class ImageWriter:
    """Pictures of the images of a run.

    One per image, `<folder>/<path of the image><suffix>`, or without a suffix one per mask,
    `<folder>/<path of the image>/<annotation id>.png`.

    Called from several threads, in any process that works on the images.

    Args:
        output: path or URL of the output folder.
        categories: categories of the results.

    Attributes:
        path: folder shown to the user.
        draws: whether it needs the pixels of the image.
    """

    folder: ClassVar[str]
    suffix: ClassVar[str | None] = None
    draws: ClassVar[bool] = False

    def __init__(self, output: Path | str, categories: list[Category]) -> None:
        self.path = below(output, self.folder)
        self._output = open_folder(self.path)
        self.categories = categories

    def pictures(self, result: ImageResult) -> Iterable[bytes]:
        """The encoded picture of an image, or those of its masks, in order."""
        raise NotImplementedError

    def foreign(self) -> str | None:
        """An existing picture, to report if no run wrote it; None if there is none."""
        found = (name for name in sorted(self._output.names()) if self._is_picture(name))
        return next((self._output.place(name) for name in found), None)

    def is_complete(self, file_name: str, count: int) -> bool:
        """Whether all pictures of an image with `count` masks exist."""
        return len(self.names(file_name)) >= (count if self.suffix is None else 1)  # more if edited ones were kept

    def write(self, result: ImageResult) -> None:
        """Write the pictures of an image and remove those of an earlier run, except those edited by hand."""
        name, files = result.file_name, result.files
        if self.suffix is None:
            own = [f"{name}/{annotation['id']}.png" for annotation in result.annotations]
        else:
            own = [f"{name}{self.suffix}"]
        files.remove(self._output, [there for there in self.names(name) if there not in own])
        made = zip(own, self.pictures(result), strict=True)
        while some := dict(islice(made, self._output.at_once)):
            files.put(self._output, some)

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """Remove the pictures of an image, except those edited by hand."""
        files.remove(self._output, self.names(file_name))

    def take(self, file_name: str, source: ImageWriter, files: ImageFiles) -> None:
        """Replace the pictures of an image by those of another output, except those edited by hand."""
        self.remove(file_name, files)
        for name in source.names(file_name):
            self._output.take(name, source._output)

    def names(self, file_name: str) -> list[str]:
        """Names of the existing pictures of an image, relative to the folder of the format."""
        if isinstance(self._output, LocalFolder):
            if self.suffix is not None:
                name = f"{file_name}{self.suffix}"
                return [name] if (self._output.path / name).is_file() else []
            masks = (self._output.path / file_name).glob("*.png")
            return [f"{file_name}/{mask.name}" for mask in masks if MASK_NAME.fullmatch(mask.name)]
        return self._listed.get(file_name, [])

    @cached_property
    def _listed(self) -> Mapping[str, list[str]]:
        """Existing pictures at a URL by image, listed once."""
        images = defaultdict(list)
        for name in filter(self._is_picture, self._output.names()):
            images[posixpath.dirname(name) if self.suffix is None else name.removesuffix(self.suffix)].append(name)
        return images

    def _is_picture(self, name: str) -> bool:
        if self.suffix is not None:
            return name.endswith(self.suffix)
        return MASK_NAME.fullmatch(posixpath.basename(name)) is not None


class PngWriter(ImageWriter):
    """`masks/<path of the image>/<annotation id>.png`: one PNG per mask, one bit per pixel."""

    folder = "masks"

    def pictures(self, result: ImageResult) -> Iterator[bytes]:
        """See `ImageWriter`."""
        for instance in result.instances:
            values = instance.mask.full().view(np.uint8)
            values *= 255
            yield png_bytes(values, (cv2.IMWRITE_PNG_BILEVEL, 1))


class IdMapWriter(ImageWriter):
    """`idmaps/<path of the image>.png`, 16 bits per pixel.

    Pixels are 0, or the 1-based index of the instance among the annotations of the image.

    Overlapping masks are drawn by score, the highest on top; of equal scores, the first.
    """

    folder = "idmaps"
    suffix = ".png"

    def pictures(self, result: ImageResult) -> list[bytes]:
        """See `ImageWriter`; raises an ImageError if there are too many instances for 16 bits."""
        instances, scores = result.instances, [annotation["score"] or 0.0 for annotation in result.annotations]
        if len(instances) > MAX_ID:
            reason = f"{len(instances)} masks do not fit a 16-bit id map"
            raise ImageError(reason, file=result.file_name, remedy="omit `format` idmap")
        width, height = result.size
        ids = np.zeros((height, width), np.uint16)
        for index in sorted(range(len(instances)), key=lambda i: (scores[i], -i)):
            mask = instances[index].mask
            rows, columns = mask.bits.shape
            ids[mask.y : mask.y + rows, mask.x : mask.x + columns][mask.bits] = index + 1
        return [png_bytes(ids)]


def png_bytes(pixels: np.ndarray, options: Sequence[int] = ()) -> bytes:
    """Encode pixels, in OpenCV's channel order, as PNG."""
    done, encoded = cv2.imencode(".png", pixels, options)
    if not done:
        height, width = pixels.shape[:2]
        raise ImageError(f"OpenCV cannot write {width} x {height} pixels as PNG", remedy="use `format` coco")
    return encoded.tobytes()
