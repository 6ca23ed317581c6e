"""Id maps: `idmaps/<path of the image>.png`, 16 bits per pixel."""

from __future__ import annotations

import numpy as np

from ..errors import ImageError
from .image_writer import ImageWriter
from .png import png_bytes
from .run_records import ImageResult

MAX_ID = 65_535


class IdMapWriter(ImageWriter):
    """Pixels are 0, or the 1-based index of the instance among the annotations of the image.

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
