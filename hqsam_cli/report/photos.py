"""The images of a run with their records."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from ..batch.object_journal import journal_contents
from ..errors import ImageError, UsageError
from ..formats.values import integer
from ..io.find import find_images
from ..io.images import read_header, read_image
from ..records import CocoImage, ImageRecord
from ..results.group import by_image
from ..results.stream import Results


@dataclass(frozen=True, slots=True)
class Photo:
    """An image of a run.

    Attributes:
        path: absolute path or URL; None if unknown.
        exif: whether the run applied its EXIF orientation, `apply` or `ignore`.
        seconds: duration of each stage, if in the journal.
    """

    record: ImageRecord
    path: str | None = None
    exif: str = "apply"
    seconds: Mapping[str, float] = field(default_factory=dict)

    def read(self, max_pixels: int) -> np.ndarray:
        """Read the pixels, uint8 RGB (H, W, 3).

        Raises:
            ImageError: the file is missing, broken, or was replaced.
        """
        if self.path is None:
            raise ImageError("the path of its image is unknown", file=self.record.file_name, remedy="pass `images`")
        pixels = read_image(self.path, exif=self.exif, max_pixels=max_pixels)
        if pixels.shape[1::-1] != self.record.size:
            reason = "is another image than the segmented one, of another size"
            raise ImageError(reason, file=self.path, remedy="pass `images`, or segment it again")
        return pixels


def read_photos(results: Results, images: Path | None = None) -> list[Photo]:
    """The images of results, in the order of the run; failed ones are read from its journal.

    Args:
        images: image folder, if images were moved or there is no journal.

    Raises:
        UsageError: a COCO results list without a folder of images.
        HqsamError: the results or the journal are damaged.
    """
    if results.kind == "COCO results":
        results = _with_images(results, images)
    with tempfile.TemporaryFile() as spool:
        found = {record.file_name: Photo(record) for record in by_image(results, spool)()}
    photos: dict[str, Photo] = {}
    if results.journal is not None:
        contents = journal_contents(results.journal)
        exif = contents.identity.get("exif", "apply")
        for record in contents.records():
            known = found.pop(record.file_name, None)
            if known is None and record.failure is None:
                continue
            own = record if known is None or record.failure is not None else known.record
            photos[own.file_name] = Photo(own, record.path or None, exif, record.origin.seconds or {})
    every = [*photos.values(), *found.values()]
    if images is None:
        return every
    return [replace(photo, path=os.path.abspath(images / photo.record.file_name)) for photo in every]


def _with_images(results: Results, images: Path | None) -> Results:
    """Give a COCO results list images: files whose stem is their id, with or without leading zeros.

    Raises:
        UsageError: there is no folder of images, or it has none of them.
    """
    if images is None:
        reason, remedy = "a COCO results list, which names no images", "pass their folder as `images`"
        raise UsageError(reason, file=results.path, remedy=remedy)
    known: dict[int | None, str] = {}
    for image in find_images([str(images)]).images:
        known.setdefault(integer(PurePosixPath(image.file_name).stem.lstrip("0") or "0"), image.file_name)
    listed: list[CocoImage] = []
    for number in dict.fromkeys(annotation["image_id"] for annotation in results.annotations()):
        header = read_header(str(images / known[number])) if number in known else None
        if header is None:
            results.problems[0].add(f"image ids that name no image in {images}", str(number))
        else:
            width, height = header.size("apply")
            listed.append({"id": number, "file_name": known[number], "width": width, "height": height})
    if not listed:
        remedy = "pass the folder of images such as 000000000139.jpg"
        raise UsageError(f"no image is named by an image id of {results.path}", file=images, remedy=remedy)
    return replace(results, kind="COCO instances", images=lambda: iter(listed))
