"""Id maps: `idmaps/<path of the image>.png`, 16 bits a pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError
from ..records import Instance
from .png import write_png
from .run_records import ImageResult, RunRecords

MAX_ID = 65_535


class IdMapWriter:
    """The id maps of a run."""

    fills_folder = True
    suffix = ".png"

    def __init__(self, output: Path, _run: RunRecords) -> None:
        self.path = output / "idmaps"

    def foreign(self) -> Path | None:
        """See `Writer`."""
        return next(self.path.rglob(f"*{self.suffix}"), None)

    def is_complete(self, file_name: str, count: int) -> bool:
        """See `Writer`."""
        return (self.path / f"{file_name}{self.suffix}").is_file()

    def write(self, result: ImageResult) -> None:
        """See `Writer`."""
        path = self.path / f"{result.file_name}{self.suffix}"
        write_id_map(path, result.instances, result.annotations, result.size)

    def remove(self, file_name: str) -> None:
        """See `Writer`."""
        (self.path / f"{file_name}{self.suffix}").unlink(missing_ok=True)

    def close(self) -> None:
        """Nothing: all is in place."""


def write_id_map(
    path: Path, instances: list[Instance], annotations: list[dict[str, Any]], size: tuple[int, int]
) -> None:
    """One 16-bit PNG whose pixels are 0, or the place (from 1) of the instance among the image's annotations.

    Where masks overlap, the one with the higher score is on top, then the earlier one.

    Raises:
        ImageError: more instances than 16 bits can count.
    """
    if len(instances) > MAX_ID:
        raise ImageError(
            f"{len(instances)} masks do not fit a 16-bit id map", file=path, remedy="leave `format` idmap out"
        )
    width, height = size
    ids = np.zeros((height, width), np.uint16)
    order = sorted(range(len(instances)), key=lambda i: (annotations[i]["score"], -i))
    for index in order:
        mask = instances[index].mask
        rows, columns = mask.bits.shape
        ids[mask.y : mask.y + rows, mask.x : mask.x + columns][mask.bits] = index + 1
    write_png(path, ids)
