"""Results written: as a file of the kind they are, or in the format of another program."""

from __future__ import annotations

import json
import os
import tempfile
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..configs import JOURNAL, SegmentationKind
from ..errors import HqsamError
from ..formats import BOX_WRITERS, POLYGON_FORMATS, RECORD_FORMATS, WRITERS
from ..formats.annotations import json_line, make_image_record
from ..formats.coco import write_document, write_list
from ..formats.label_writer import LabelWriter
from ..formats.ownership import ImageFiles, check_removal, digest_of, tell_kept, tell_removed
from ..formats.polygons import PolygonCost, Polygons, mask_polygons
from ..formats.run_records import ImageResult, RunRecords
from ..formats.segmentation import decode_segmentation, sound_polygons
from ..formats.values import read_numbers
from ..io.atomic import check_can_write, write_file
from ..io.digest import file_digest
from ..records import MaskCrop
from .image_names import name_images
from .stream import Item, Results

# What can be made of records alone; of `hqsam segment --format` and of `hqsam detect --format`.
FILES = ("coco", "results", "ndjson")
FOLDERS = ("yolo", *(name for name in RECORD_FORMATS if name not in FILES))
BOXES = ("yolo", "voc")  # what is made of boxes
DIGESTS = "labels.sha256"  # of the labels that were written, so that those that somebody edits are known


def write_same(path: Path, results: Results, info: Mapping[str, Any]) -> tuple[int, int]:
    """A file of the kind that results are, a stream through and through; what was NDJSON becomes COCO.

    Returns:
        How many images and annotations there are.

    Raises:
        HqsamError: it cannot be written.
    """
    check_can_write(path)
    counts = [0, 0]

    def counted(place: int, items: Iterator[Item]) -> Iterator[Item]:
        for item in items:
            counts[place] += 1
            yield item

    annotations = counted(1, results.annotations())
    with _writing(path):
        if results.kind == "COCO results":
            write_list(path, annotations)
        else:
            images = counted(0, results.images())
            write_document(path, {**results.info, **info}, images, annotations, results.categories)
    return counts[0], counts[1]


def write_as(
    form: str,
    path: Path,
    results: Results,
    info: Mapping[str, Any],
    *,
    images: Path | None = None,
    segmentation: SegmentationKind | None = None,
    tolerance: float,
    overwrite_edited: bool = False,
    prune: bool = False,
) -> tuple[Path, PolygonCost]:
    """Results in a format of `FILES`, at `path`, or of `FOLDERS`, in that folder.

    Args:
        images: the folder that names of images are relative to; for labels that say where images are.
        segmentation: what masks become in COCO and NDJSON; None leaves them as they are.
        tolerance: of polygons, pixels.
        overwrite_edited: labels that somebody edited since they were written are replaced too.
        prune: any number of labels may go at once; see `ownership.check_removal`.

    Returns:
        Where it was written, and what polygons cost.

    Raises:
        HqsamError: it cannot be written; an annotation has no mask, or one that cannot be drawn, where polygons are
            wanted, or no category or box where labels say them; an image is listed twice, or has no name of its own
            that labels could have.
    """
    if results.kind == "COCO results":
        raise HqsamError("a COCO results list has no names of images", remedy="give COCO instances or NDJSON")
    shapes = _Shapes(
        results.path,
        polygons=tolerance if form in POLYGON_FORMATS or segmentation in ("polygon", "both") else None,
        runs=segmentation in ("rle", "both"),
    )
    is_folder = form in FOLDERS
    if is_folder:  # before the long work
        with _writing(path):
            path.mkdir(parents=True, exist_ok=True)
    else:
        check_can_write(path)
    names = name_images((image["file_name"] for image in results.images()) if is_folder else (), images)
    with tempfile.TemporaryFile() as spool:
        read = _grouped(results, form, shapes, spool)

        def labeled() -> Iterator[Item]:
            for record in read():
                name = record["file_name"]
                if record["width"] is None and record["error"] is None:
                    raise HqsamError("an image whose size nobody says", file=name, remedy="add width and height")
                # Labels have a place for what results may lack.
                annotations = [{"score": None, **annotation} for annotation in record["annotations"]]
                yield {**record, "file_name": names.name_of(name), "annotations": annotations}

        run = RunRecords(
            labeled if is_folder else read,
            results.categories,
            {**results.info, **info},
            segmentation if segmentation in ("polygon", "both") else "rle",
            names.path_of,
            # Those that failed too, whose labels go.
            names=lambda: (names.name_of(image["file_name"]) for image in results.images()),
        )
        make = (BOX_WRITERS if form in BOX_WRITERS else WRITERS)[form]
        writer = make(path, run)
        with _writing(path):
            if isinstance(writer, LabelWriter):
                _write_labels(writer, path, overwrite_edited=overwrite_edited, prune=prune)
            else:
                writer.close()
    return writer.path, shapes.cost


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What the system says of what cannot be written, in one line."""
    try:
        yield
    except OSError as error:
        reason = f"cannot be written ({error.strerror or error})"
        raise HqsamError(reason, file=error.filename or path, remedy="give another path") from None


def _write_labels(writer: LabelWriter, output: Path, *, overwrite_edited: bool, prune: bool) -> None:
    """Write labels, instead of those that there are of the images; what somebody edited since stays."""
    listed = writer.path / DIGESTS
    known = _read_digests(listed)
    if writer.foreign() is not None:
        # Labels of a run are in its journal, which is not read here, and none of others were listed before.
        any_label = overwrite_edited or not (listed.exists() or (output / JOURNAL).exists())
        _remove_labels(writer, None if any_label else known, prune=prune)
    writer.close()
    known |= {os.fsencode(path.relative_to(writer.path)): file_digest(path) for path in writer.written}
    write_file(listed, b"".join(b"%s  %s\n" % (known[place].encode(), place) for place in sorted(known)))


def _remove_labels(writer: LabelWriter, known: Mapping[bytes, str] | None, *, prune: bool) -> None:
    """Remove the labels of the images whose digests are known, or all of them."""
    # All are read before the first label goes, so that none does if there is something wrong with the results.
    names = [(record["file_name"], record["error"]) for record in writer.run.records()]
    failed = [name for name, error in names if error is not None and writer.has(name)]
    check_removal(len(names), failed, prune=prune)
    tell_removed("images that failed", failed)
    kept: list[str] = []
    for record in writer.run.records():
        name, noted = record["file_name"], None
        if known is not None:
            places = [os.fsencode(path.relative_to(writer.path)) for path in writer.places_of(name)]
            noted = {digest_of(writer.suffix, known[place]) for place in places if place in known}
            if record["error"] is None:  # a command that was killed may have written it
                size = record["width"], record["height"]
                noted.add(writer.digest(ImageResult(name, size, [], record["annotations"])))
        writer.remove(name, ImageFiles(noted, kept=kept))
    tell_kept(kept)


def _read_digests(path: Path) -> dict[bytes, str]:
    """SHA-256 of files by their names, as `sha256sum` lists them; nothing where there is no list."""
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    return {
        place: sha256.decode("ascii", "replace")
        for sha256, _, place in (line.partition(b"  ") for line in lines)
        if place
    }


@dataclass(slots=True)
class _Shapes:
    """What masks are wanted as, and what that cost.

    Attributes:
        file: of the results, for messages.
        polygons: their tolerance in pixels; None for none.
        runs: run lengths, whatever the file has.
    """

    file: Path | str
    polygons: float | None
    runs: bool
    cost: PolygonCost = field(default_factory=PolygonCost)

    def of(self, annotation: Item, size: tuple[int, int] | None) -> Item:
        """An annotation with its mask as it is wanted."""
        if self.polygons is None and not self.runs:
            return annotation
        shape, name = annotation.get("segmentation"), f"annotation {annotation['id']}"
        if not shape:
            remedy = "choose a format of boxes: coco, results, yolo or voc"
            raise HqsamError(f"{name} has no mask", file=self.file, remedy=remedy)
        if size is None and isinstance(shape, dict):
            size = shape["size"][1], shape["size"][0]
        changed = dict(annotation)
        try:
            if isinstance(shape, list) and not self.runs:
                polygons = Polygons(sound_polygons(shape), 1.0, 0)
            elif size is None:
                raise ValueError("is of an image whose size nobody says")
            else:
                mask = MaskCrop.whole(decode_segmentation(shape, *size))
                if self.runs:
                    changed["segmentation"] = mask.rle
                if self.polygons is None:
                    return changed
                polygons = mask_polygons(mask, self.polygons)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise HqsamError(f"{name}: its mask {error}", file=self.file, remedy="mend the file") from None
        changed["polygons"] = polygons.record()
        self.cost.add([changed])
        return changed


def _check(annotation: Item, form: str, listed: set[Any], file: Path | str) -> None:
    """Raise where an annotation lacks what labels say of it, `listed` being the ids of categories."""
    name, number = f"annotation {annotation['id']}", annotation.get("category_id")
    if number is None:
        raise HqsamError(f"{name} has no category_id", file=file, remedy="mend the file")
    if number not in listed:
        raise HqsamError(f"{name} is of category {number!r}, which is not listed", file=file, remedy="list it")
    if form in BOXES and read_numbers(annotation.get("bbox"), 4) is None:
        raise HqsamError(f"{name} has no bbox", file=file, remedy="mend the file")


def _grouped(results: Results, form: str, shapes: _Shapes, spool: IO[bytes]) -> Callable[[], Iterator[Item]]:
    """The records of images, each with its annotations, which are kept in `spool` for that, in any order."""
    listed = {category["id"] for category in results.categories}
    sizes: dict[Any, tuple[int, int] | None] = {}
    for image in results.images():
        if image["id"] in sizes:
            reason = f"image id {image['id']} is listed twice"
            raise HqsamError(reason, file=results.path, remedy="hqsam results merge joins images of one name")
        sizes[image["id"]] = _size(image)
    places: dict[Any, int] = {}
    owners, starts = array("q"), array("q")
    end = 0
    for number, annotation in enumerate(results.annotations(), 1):
        image_id = annotation["image_id"]
        annotation = {"id": number, **annotation}
        if form in FOLDERS:
            _check(annotation, form, listed, results.path)
        line = json_line(shapes.of(annotation, sizes.get(image_id)))
        spool.write(line)
        owners.append(places.setdefault(image_id, len(places)))
        starts.append(end)
        end += len(line)
    owner = np.frombuffer(owners, np.int64) if len(owners) else np.zeros(0, np.int64)
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(places) + 1))

    def own(image_id: Any) -> list[Item]:
        place = places.get(image_id)
        found = []
        for index in () if place is None else order[bounds[place] : bounds[place + 1]]:
            spool.seek(starts[index])
            found.append(json.loads(spool.readline()))
        return found

    def records() -> Iterator[Item]:
        for image in results.images():
            annotations = own(image["id"])
            size = _size(image) or _drawn_size(annotations)
            # What failed and has annotations was done again.
            error = None if annotations else image.get("error")
            yield make_image_record(image["file_name"], image["id"], size, annotations, error)

    return records


def _size(image: Item) -> tuple[int, int] | None:
    """Width and height of an image as the file says."""
    return (image["width"], image["height"]) if image.get("width") and image.get("height") else None


def _drawn_size(annotations: list[Item]) -> tuple[int, int] | None:
    """Width and height of an image as its run lengths have them."""
    shapes = (annotation.get("segmentation") for annotation in annotations)
    found = next((shape["size"] for shape in shapes if isinstance(shape, dict)), None)
    return None if found is None else (found[1], found[0])
