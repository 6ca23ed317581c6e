"""What writers are given: the results of one image, or the records of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import numpy as np

from ..configs import SegmentationKind
from ..io.address_folder import AddressFolder
from ..records import Annotation, Category, ImageRecord, Instance
from .ownership import ImageFiles


@dataclass(frozen=True, slots=True)
class ImageResult:
    """The results of one image, in memory.

    Attributes:
        record: what is noted of it.
        instances: its masks, in the order of the annotations of the record.
        pixels: of the image, uint8 RGB (H, W, 3), for writers that draw.
        files: of the image in the output.
    """

    record: ImageRecord
    instances: list[Instance]
    pixels: np.ndarray | None = None
    files: ImageFiles = field(default_factory=ImageFiles)

    @property
    def file_name(self) -> str:
        """Of the image: relative, with `/`."""
        return self.record.file_name

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the image in pixels."""
        assert self.record.size is not None
        return self.record.size

    @property
    def annotations(self) -> list[Annotation]:
        """Of the masks."""
        return self.record.annotations


@dataclass(frozen=True, slots=True)
class RunRecords:
    """What is known of all images when a run ends.

    Attributes:
        records: called as often as a writer likes; each time the records of all images in order.
        categories: COCO categories.
        info: what made the results, as COCO's `info`.
        segmentation: how annotations give their masks; see `annotations.shown`.
    """

    records: Callable[[], Iterable[ImageRecord]]
    categories: list[Category]
    info: Mapping[str, Any] = field(default_factory=dict)
    segmentation: SegmentationKind = "rle"


WriteRecords: TypeAlias = Callable[[Path, RunRecords], None]


class RecordsWriter:
    """A format that is one file about all images, written when a run ends.

    Args:
        path: of the file, or its address.
        write: called with a path of that name, and the records; may write another file beside it,
        beside: whose suffix is this.
    """

    def __init__(self, path: Path | str, write: WriteRecords, beside: str | None = None) -> None:
        self.path, self._write, self._beside = path, write, beside

    def foreign(self) -> str | None:
        """A file that is there, for those who know that no run wrote it."""
        if isinstance(self.path, str):
            return self.path if AddressFolder(self.path).names() else None
        places = [self.path, *([] if self._beside is None else [self.path.with_suffix(self._beside)])]
        return next((str(place) for place in places if place.is_file()), None)

    def close(self, run: RunRecords) -> None:
        """Write the file."""
        if isinstance(self.path, Path):
            self._write(self.path, run)
            return
        above, name = split_address(self.path)
        with TemporaryDirectory(prefix="hqsam-") as here:
            self._write(Path(here, name), run)
            for file in Path(here).iterdir():
                AddressFolder(above).put_file(file.name, file)


def split_address(address: str) -> tuple[str, str]:
    """The address of the folder that something is in, and its name there; a bucket is in none."""
    protocol, _, rest = address.rstrip("/").partition("://")
    above, _, last = rest.rpartition("/")
    return (f"{protocol}://{above}", last) if above.strip("/") else (f"{protocol}://{rest}", "")
