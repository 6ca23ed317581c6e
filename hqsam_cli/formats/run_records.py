"""The input of writers: the results of one image, or the records of all images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from ..configs import SegmentationKind
from ..io.address_folder import AddressFolder
from ..io.copies import written_to
from ..records import Annotation, Category, ImageRecord, Instance
from .ownership import ImageFiles


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The results of one image, in memory.

    Attributes:
        record: its record in the journal.
        instances: masks in the order of `record.annotations`.
        pixels: the image, uint8 RGB (H, W, 3), for writers that draw.
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


@dataclass(frozen=True, slots=True)
class RunRecords:
    """The records of all images at the end of a run.

    Attributes:
        records: returns the records of all images in order; may be called repeatedly.
        categories: COCO categories.
        info: COCO `info`, which describes how the results were made.
        segmentation: encoding of masks; see `annotations.shown`.
    """

    records: Callable[[], Iterable[ImageRecord]]
    categories: list[Category]
    info: Mapping[str, Any] = field(default_factory=dict)
    segmentation: SegmentationKind = "rle"


WriteRecords: TypeAlias = Callable[[Path, RunRecords], None]


class RecordsWriter:
    """A format with one file for all images, written at the end of a run.

    Args:
        path: path or URL of the file.
        write: function of a local path and the records; may write another file next to it.
        beside: suffix of that other file.
    """

    def __init__(self, path: Path | str, write: WriteRecords, beside: str | None = None) -> None:
        self.path, self._write, self._beside = path, write, beside

    def foreign(self) -> str | None:
        """An existing file, to report if no run wrote it; None if there is none."""
        if isinstance(self.path, str):
            return self.path if AddressFolder(self.path).names() else None
        places = [self.path, *([] if self._beside is None else [self.path.with_suffix(self._beside)])]
        return next((str(place) for place in places if place.is_file()), None)

    def close(self, run: RunRecords) -> None:
        """Write the file."""
        with written_to(self.path) as path:
            self._write(path, run)
