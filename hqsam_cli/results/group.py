"""Group the annotations of a results file by image, in any order."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator
from typing import IO, Any, TypeAlias

import numpy as np

from ..formats.coco import json_line
from ..records import Annotation, Failure, ImageRecord, geo_keys
from .check import Size, size_of
from .stream import Results

Change: TypeAlias = Callable[[Annotation, Size], Annotation | None]


def by_image(
    results: Results, spool: IO[bytes], change: Change = lambda annotation, _: annotation
) -> Callable[[], Iterator[ImageRecord]]:
    """Return a function that yields the records of the images in order, any number of times.

    Args:
        spool: temporary file for the annotations.
        change: called once per annotation, with the (width, height) of its image if the file has it; None leaves the
            annotation out.
    """
    sizes = {image["id"]: size_of(image) for image in results.images()}
    places: dict[Any, int] = {}
    owners, starts = array("q"), array("q")
    end = 0
    for annotation in results.annotations():
        image_id = annotation["image_id"]
        changed = change(annotation, sizes.get(image_id))
        if changed is None:
            continue
        line = json_line(changed)
        spool.write(line)
        owners.append(places.setdefault(image_id, len(places)))
        starts.append(end)
        end += len(line)
    owner = np.asarray(owners, np.int64)
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(places) + 1))

    def annotations_of(image_id: int) -> Iterator[Annotation]:
        place = places.get(image_id)
        for index in () if place is None else order[bounds[place] : bounds[place + 1]]:
            spool.seek(starts[index])
            yield json.loads(spool.readline())

    def records() -> Iterator[ImageRecord]:
        for image in results.images():
            own = list(annotations_of(image["id"]))
            error = image.get("error")
            # A failed image with annotations was processed again.
            failure = None if own or error is None else Failure("", error)
            size = size_of(image) or _mask_size(own)
            yield ImageRecord(image["file_name"], image["id"], size, own, failure, geo=geo_keys(image))

    return records


def _mask_size(annotations: list[Annotation]) -> Size:
    """(width, height) of an image from the RLE of its masks."""
    shapes = (annotation.get("segmentation") for annotation in annotations)
    found = next((shape["size"] for shape in shapes if isinstance(shape, dict)), None)
    return None if found is None else (found[1], found[0])
