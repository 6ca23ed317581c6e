"""COCO's run-length encoding straight from the part of a mask that is set."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..records import MaskCrop


def tight_box(mask: MaskCrop) -> tuple[int, int, int, int]:
    """x, y, width and height of the set pixels in the image; zeros where there are none."""
    rows, columns = np.flatnonzero(mask.bits.any(axis=1)), np.flatnonzero(mask.bits.any(axis=0))
    if not len(rows):
        return 0, 0, 0, 0
    top, left = int(rows[0]), int(columns[0])
    return mask.x + left, mask.y + top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def column_runs(mask: MaskCrop) -> np.ndarray:
    """COCO's uncompressed counts of the whole image: lengths of runs down the columns, zeros first.

    Only the crop is looked at: runs are found in it with a row of zeros between columns, moved to where the
    full image has them, and joined where a run goes on from the foot of a column to the head of the next.
    """
    bits = mask.bits
    height, width = bits.shape
    total = mask.height * mask.width
    if not bits.any():
        return np.array([total], np.int64)
    padded = np.zeros((width, height + 2), np.int8)
    padded[:, 1:-1] = bits.T
    steps = np.diff(padded.ravel())
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    column, row = np.divmod(starts, height + 2)
    starts = (column + mask.x) * mask.height + row + mask.y
    column, row = np.divmod(ends, height + 2)
    ends = (column + mask.x) * mask.height + row + mask.y
    apart = starts[1:] != ends[:-1]
    starts, ends = starts[np.r_[True, apart]], ends[np.r_[apart, True]]
    borders = np.empty(2 * len(starts) + 2, np.int64)
    borders[0], borders[-1] = 0, total
    borders[1:-1:2], borders[2:-1:2] = starts, ends
    counts = np.diff(borders)
    return counts if counts[-1] else counts[:-1]


def rle_from_crop(mask: MaskCrop) -> dict[str, Any]:
    """Compressed RLE, equal byte for byte to `pycocotools.mask.encode` of the full mask."""
    from pycocotools import mask as coco_mask

    size = [mask.height, mask.width]
    rle = coco_mask.frPyObjects({"size": size, "counts": column_runs(mask).tolist()}, *size)
    return {"size": size, "counts": rle["counts"].decode("ascii")}
