"""Id maps: `idmaps/<path of the image>.png`, 16 bits a pixel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ImageError
from ..io.atomic import write_file
from ..records import Instance
from .picture_writer import PictureWriter
from .png import write_png
from .run_records import ImageResult

MAX_ID = 65_535


class IdMapWriter(PictureWriter):
    """The id maps of a run."""

    folder = "idmaps"
    suffix = ".png"

    def write(self, result: ImageResult) -> None:
        """See `Writer`."""
        write_id_map(self.place(result.file_name), result.instances, result.annotations, result.size, result.files.put)


def write_id_map(
    path: Path,
    instances: list[Instance],
    annotations: list[dict[str, Any]],
    size: tuple[int, int],
    put: Callable[[Path, bytes], None] = write_file,
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
    write_png(path, ids, put=put)
