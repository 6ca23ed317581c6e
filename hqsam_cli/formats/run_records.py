"""What a writer is given: the results of one image, or the records of all of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from ..configs import SegmentationKind
from ..records import Instance
from .ownership import ImageFiles


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The masks of one image.

    Attributes:
        file_name: of the image, relative, with `/`.
        size: (width, height).
        instances: its masks.
        annotations: their COCO annotations, in the same order.
        pixels: of the image, RGB uint8 (H, W, 3), for writers that draw.
        files: that the image has in the output.
    """

    file_name: str
    size: tuple[int, int]
    instances: list[Instance]
    annotations: list[dict[str, Any]]
    pixels: np.ndarray | None = None
    files: ImageFiles = field(default_factory=ImageFiles)


@dataclass(frozen=True, slots=True)
class RunRecords:
    """What is known of all images when a run ends.

    Attributes:
        records: called as often as a writer likes; each time the records of all images in order.
        categories: COCO categories.
        info: what made them, as COCO's `info`.
        segmentation: how annotations say what their masks are; see `annotations.shown`.
        path_of: the absolute path of an image, by its name.
        knows: whether an image had results before; asked before its own are noted.
        noted: digests of what runs wrote of an image; see `ownership.ImageFiles`.
        names: of all images that have results, in order, of this run or an earlier one; None for those of `records`.
    """

    records: Callable[[], Iterable[dict[str, Any]]]
    categories: list[dict[str, Any]]
    info: Mapping[str, Any] = field(default_factory=dict)
    segmentation: SegmentationKind = "rle"
    path_of: Callable[[str], str] = field(default=str)
    knows: Callable[[str], bool] = lambda _: True
    noted: Callable[[str], Collection[str] | None] = lambda _: None
    names: Callable[[], Iterable[str]] | None = None

    def image_names(self) -> list[str]:
        """Of all images that have results, in order."""
        if self.names is not None:
            return list(self.names())
        return [record["file_name"] for record in self.records() if record["error"] is None]


class Writer(Protocol):
    """An output format. Every file of it appears whole or not at all."""

    @property
    def path(self) -> Path:
        """The file or folder that people look for."""

    @property
    def fills_folder(self) -> bool:
        """Whether `path` is a folder that `write` fills, rather than a file that `close` writes."""

    @property
    def suffix(self) -> str | None:
        """What follows the name of an image in that of the one file that it has; None where it has a folder of PNGs,
        and where there is one file in all."""

    def foreign(self) -> Path | None:
        """A file that is there and would be replaced or taken away, for those who know that no run wrote it."""

    def is_complete(self, file_name: str, count: int) -> bool:
        """Whether what an image with so many results has is all there."""

    def write(self, result: ImageResult) -> None:
        """Put the outputs of an image in place, and take away those of an earlier run; somebody's stay.

        Where `fills_folder`, called from several threads, in whatever process works on the image. Else called by the
        one that keeps the journal, without instances and pixels.
        """

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """Take away what there may be of an image; files that are somebody's stay."""

    def close(self) -> None:
        """Write what is about all images together."""


WriteRecords: TypeAlias = Callable[[Path, RunRecords], None]


class RecordsWriter:
    """A format that is one file, made of all records when a run ends.

    Args:
        write: called with the path and what is known of the images.
        beside: another file that it writes.
    """

    fills_folder = False
    suffix = None

    def __init__(
        self,
        path: Path,
        run: RunRecords,
        write: WriteRecords,
        beside: Path | None = None,
    ) -> None:
        self.path, self._run, self._write, self._beside = path, run, write, beside

    def foreign(self) -> Path | None:
        """See `Writer`."""
        return next((path for path in (self.path, self._beside) if path is not None and path.is_file()), None)

    def is_complete(self, file_name: str, count: int) -> bool:
        """Always: the record of the image is kept by the run."""
        return True

    def write(self, result: ImageResult) -> None:
        """Nothing: see `is_complete`."""

    def remove(self, file_name: str, files: ImageFiles) -> None:
        """Nothing: an image that failed has a record that says so."""

    def close(self) -> None:
        """Write the file."""
        self._write(self.path, self._run)
