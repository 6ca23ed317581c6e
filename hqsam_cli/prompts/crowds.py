"""Crowd annotations: regions of several objects in COCO, but single objects in files of other programs."""

from __future__ import annotations

from collections import Counter

from ..configs import Crowds
from .boxes import MOST
from .prompt_file import FileAnnotation, PromptFile


def settle_crowds(file: PromptFile, crowds: Crowds | None) -> None:
    """Keep or drop the crowd annotations of a file that is read.

    COCO has few crowds per class, and one per image and class. datumaro, Encord, darwin-py and supervision write
    objects that have several parts or holes as RLE with `iscrowd` 1; so by default, RLE is kept if nearly all
    annotations of its class are such, or an image has several.
    """
    found = [a for a in file.annotations if a.crowd]
    if not found:
        return
    totals, regions = Counter(map(_class, file.annotations)), Counter(_class(a) for a in found if a.crowd == "rle")
    in_images = Counter((a.key, _class(a)) for a in found if a.crowd == "rle")
    objects = {own for own, count in totals.items() if regions[own] >= MOST * count}
    objects |= {own for (_, own), count in in_images.items() if count > 1}
    kept = {id(a) for a in found if crowds == "keep" or (crowds is None and a.crowd == "rle" and _class(a) in objects)}
    dropped = [a for a in found if id(a) not in kept]
    file.annotations = [a for a in file.annotations if not a.crowd or id(a) in kept]
    for a in found if crowds is None else ():
        where = (
            f"{'entry' if a.annotation_id is None else f'annotation {a.annotation_id}'} of {file.images[a.key].label}"
        )
        if id(a) in kept:
            file.remark("crowd regions, by their number single objects, kept; pass `crowds` drop if not", where)
        elif 2 * len(dropped) > file.entries:
            file.lose("crowd regions, skipped; pass `crowds` keep if they are single objects", where, a.key)
        else:
            file.remark("crowd regions, skipped; pass `crowds` keep if they are single objects", where)


def _class(annotation: FileAnnotation) -> tuple[object, object]:
    return annotation.category, annotation.category_name
