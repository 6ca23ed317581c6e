"""Files about all images: the images of this command, and those of earlier commands with the same output."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from ..configs import SegmentationKind
from ..formats.coco import RunRecords
from ..io.find import walk_order
from ..records import Category, ImageRecord
from .journal import Journal

log = logging.getLogger(__name__)


def all_records(
    journal: Journal, file_names: Sequence[str], categories: list[Category], segmentation: SegmentationKind
) -> RunRecords:
    """The records of a command's images and of all others in the journal.

    In input order if there are no others; else in folder walk order, so that the order of commands does not matter.
    An image that commands gave different names counts once, by the name of this command or the last one. If two images
    or annotations have the same id, which input files can cause, only this command's images.

    Args:
        file_names: of the command.
    """
    names, entries, own = file_names, journal.entries, set(file_names)
    paths = {entries[name].path for name in file_names if name in entries}
    others = {entry.path: name for name, entry in entries.items() if name not in own and entry.path not in paths}
    if others:
        together = sorted([*file_names, *others.values()], key=walk_order)
        repeated = _repeated_id(journal.contents.records(together))
        if repeated is None:
            names = together
        else:
            log.warning(
                "%s is used by two images, one of an earlier command: files about all images are replaced by those of "
                "this command's images",
                repeated,
            )
    return RunRecords(lambda: journal.contents.records(names), categories, journal.info, segmentation)


def _repeated_id(records: Iterable[ImageRecord]) -> str | None:
    """Describe an id of two images or two annotations; None if there is none. Takes 8 bytes per annotation."""
    images: set[int] = set()
    annotations = array("q")
    for record in records:
        if record.image_id in images:
            return f"image id {record.image_id}"
        images.add(record.image_id)
        annotations.extend(own["id"] for own in record.annotations)
    ids = np.sort(np.frombuffer(annotations, np.int64))
    repeated = ids[1:][ids[1:] == ids[:-1]]
    return f"annotation id {repeated[0]}" if repeated.size else None
