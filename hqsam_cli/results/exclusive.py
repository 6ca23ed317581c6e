"""Results whose masks do not overlap."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from ..errors import UsageError
from ..formats.segmentation import decode_crop
from ..formats.values import number_or_none
from ..inference.exclusive import owned, pixel_owners
from ..records import Annotation, ImageRecord, MaskCrop
from .check import Size
from .group import by_image
from .stream import Results


def exclusive(results: Results) -> Results:
    """Assign each pixel to one mask of its image; see `pixel_owners`. Annotations are grouped by image.

    Masks that lose pixels become RLE, with a new area and box. Annotations without a valid mask are unchanged.

    Raises:
        UsageError: a results list, which has no images.
    """
    if results.kind == "COCO results":
        raise UsageError("a COCO results list has no images", option="exclusive", remedy="pass COCO instances")

    def annotations() -> Iterator[Annotation]:
        with tempfile.TemporaryFile() as spool:
            for record in by_image(results, spool)():
                yield from _of_image(record)

    return replace(results, annotations=annotations)


def _of_image(record: ImageRecord) -> list[Annotation]:
    masks = [_mask(own, record.size) for own in record.annotations]
    known = [mask for mask in masks if mask is not None]
    if not known:
        return record.annotations
    scores = [number_or_none(own.get("score")) or 0.0 for own in record.annotations]
    owners = pixel_owners(known, [score for score, mask in zip(scores, masks, strict=True) if mask is not None])
    numbers = iter(range(1, len(known) + 1))
    return [
        own if mask is None else _changed(own, mask, owned(mask, owners, next(numbers)))
        for own, mask in zip(record.annotations, masks, strict=True)
    ]


def _changed(annotation: Annotation, before: MaskCrop, mask: MaskCrop) -> Annotation:
    area = int(mask.bits.sum())
    if area == before.bits.sum():
        return annotation
    box = [float(n) for n in mask.tight_box()]
    return {**annotation, "segmentation": mask.rle, "area": area, "bbox": box}


def _mask(annotation: Annotation, size: Size) -> MaskCrop | None:
    """The mask of an annotation; None if it has no valid one."""
    shape: Any = annotation.get("segmentation")
    try:
        return None if not shape or size is None else decode_crop(cast(Any, shape), *size)
    except (ValueError, TypeError, KeyError, OverflowError):
        return None
