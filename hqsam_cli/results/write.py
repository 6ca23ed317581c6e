"""Write results, in the same or another format."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from ..configs import DEFAULT_TOLERANCE, SegmentationKind
from ..configs.formats import BY_CENTERS, FOLDERS, MASK_FORMATS, POLYGON_FORMATS, RLE_FORMATS, Layout
from ..errors import HqsamError
from ..formats import BOX_WRITERS, WRITERS
from ..formats.coco import RunRecords, write_document, write_list
from ..formats.label_writer import LabelWriter
from ..formats.layouts import write_layout
from ..formats.outputs import RecordsWriter
from ..formats.ownership import check_removal, tell_kept, tell_removed
from ..formats.polygons import PolygonCost, mask_polygons
from ..formats.rasterize import Parts, ious, with_pixels
from ..formats.segmentation import decode_segmentation, sound_polygons
from ..formats.values import number_or_none, read_numbers
from ..io.atomic import check_can_write, write_file, writing
from ..io.output_folder import ImageFiles, digest_of
from ..io.run_folder import JOURNAL
from ..records import Annotation, ImageRecord, MaskCrop, Polygons, Segmentation
from .group import by_image
from .image_names import name_images
from .photo_sizes import fit_photos
from .problems import Problems
from .stream import Results

T = TypeVar("T")
BOXES = ("yolo", "voc")  # formats of boxes
SAME = 0.99  # IoU with its mask from which a polygon is drawn true
DIGESTS = "labels.sha256"  # of written labels, to detect those edited by hand


def write_same(path: Path, results: Results, info: Mapping[str, Any]) -> tuple[int, int]:
    """Stream results to a file of the same format; NDJSON and journals become COCO instances.

    Returns:
        Number of images and annotations.

    Raises:
        HqsamError: it cannot be written.
    """
    check_can_write(path)
    counts = [0, 0]

    def counted(place: int, items: Iterator[T]) -> Iterator[T]:
        for item in items:
            counts[place] += 1
            yield item

    annotations = counted(1, results.annotations())
    with writing(path):
        if results.kind == "COCO results":
            write_list(path, annotations)
        else:
            images = counted(0, results.images())
            write_document(path, {**results.info, **info}, [(images, annotations)], results.categories)
    return counts[0], counts[1]


def write_as(
    form: str,
    path: Path,
    results: Results,
    info: Mapping[str, Any],
    *,
    layout: Layout | None = None,
    images: Path | None = None,
    segmentation: SegmentationKind | None = None,
    tolerance: float | None = None,
    overwrite_edited: bool = False,
    prune: bool = False,
) -> tuple[Path, PolygonCost]:
    """Write results in a format of `FILES` to the file `path`, or of `FOLDERS` to the folder `path`.

    Annotations without a mask, category or box that the format requires, images of unknown size for labels, and images
    of another size than their photo are left out, and added to `results.problems`.

    Args:
        layout: layout of that format; `path` is its folder.
        images: image folder that names are relative to, for labels and layouts with image paths.
        segmentation: mask encoding in COCO and NDJSON; None keeps it unchanged.
        tolerance: polygon tolerance in pixels; None uses `DEFAULT_TOLERANCE`.
        overwrite_edited: also replace labels edited by hand.
        prune: allow removal of any number of labels; see `ownership.check_removal`.

    Returns:
        The written path, and the accuracy of polygons.

    Raises:
        HqsamError: the output cannot be written; all annotations or images would be left out; an image has no unique
            valid name.
    """
    if results.kind == "COCO results":
        raise HqsamError("a COCO results list has no image names", remedy="pass COCO instances or NDJSON")
    with_polygons = segmentation in ("polygon", "both")
    masks = _Masks(
        results.problems[0],
        form,
        (DEFAULT_TOLERANCE if tolerance is None else tolerance) if form in POLYGON_FORMATS or with_polygons else None,
        segmentation in ("rle", "both") or form in RLE_FORMATS,
    )
    is_folder = form in FOLDERS or layout is not None
    if is_folder:  # fail before the long conversion
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
    else:
        check_can_write(path)
    names = name_images((image["file_name"] for image in results.images()) if is_folder else (), images)
    if images is not None:
        results = fit_photos(results, lambda name: names.path_of(names.name_of(name)))
    unsized: dict[str, None] = {}
    with tempfile.TemporaryFile() as spool:
        grouped = by_image(results, spool, masks.converted_or_none)
        masks.check()

        def records() -> Iterator[ImageRecord]:
            count = 0
            for record in grouped():
                if is_folder:
                    if record.size is None and record.failure is None:
                        unsized[record.file_name] = None
                        continue
                    annotations = record.annotations
                    if form in FOLDERS:  # label formats expect a score, which results may lack
                        annotations = [{"score": None, **own} for own in annotations]
                    name = names.name_of(record.file_name)
                    record = replace(record, file_name=name, annotations=annotations, path=names.path_of(name))
                count += 1
                yield record
            if unsized and not count:
                reason, remedy = "an image of unknown size", "add width and height, or pass `images`"
                raise HqsamError(reason, file=next(iter(unsized)), remedy=remedy)

        run = RunRecords(
            records,
            results.categories,
            {**results.info, **info},
            segmentation if segmentation is not None and with_polygons else "rle",
        )
        made = path
        with writing(path):
            if layout is not None and layout.file:
                write_layout(path, layout, run)
            else:
                writer = (BOX_WRITERS if form in BOX_WRITERS else WRITERS)[form](path, run.categories)
                made = Path(writer.path)
                if isinstance(writer, LabelWriter):
                    _write_labels(writer, path, run, overwrite_edited=overwrite_edited, prune=prune)
                elif isinstance(writer, RecordsWriter):
                    writer.close(run)
    for name in unsized:
        results.problems[0].add("images of unknown size, left out", name)
    return made, masks.cost


def _write_labels(writer: LabelWriter, output: Path, run: RunRecords, *, overwrite_edited: bool, prune: bool) -> None:
    """Write labels, replacing existing ones of the images, except those edited by hand."""
    listed = Path(writer.path) / DIGESTS
    known = _read_digests(listed)
    # Labels of a run are recorded in its journal, which is not read here; other labels have no earlier list.
    any_label = overwrite_edited or not (listed.exists() or (output / JOURNAL).exists())
    # All records are read before any label is removed, so that invalid results remove none.
    names = {record.file_name: record.failure is not None for record in run.records()}
    writer.begin(names)
    failed = [name for name, is_failed in names.items() if is_failed and writer.has(name)]
    check_removal(len(names), failed, prune=prune)
    tell_removed("images that failed", failed)
    kept: list[str] = []
    for record in run.records():
        places = [os.fsencode(name) for name in writer.label_names(record.file_name)]
        noted = {digest_of(writer.suffix, known[place]) for place in places if place in known}
        files = ImageFiles(None if any_label else noted, kept=kept)
        if record.failure is None:
            writer.note(record, files, is_new=False)
        else:
            writer.remove(record.file_name, files)
    tell_kept(kept)
    writer.close(run)
    known |= {os.fsencode(name): sha256 for name, sha256 in writer.folder.digests(writer.written).items()}
    write_file(listed, b"".join(b"%s  %s\n" % (known[place].encode(), place) for place in sorted(known)))


def _read_digests(path: Path) -> dict[bytes, str]:
    """SHA-256 of files by name, in the format of `sha256sum`; empty if there is no list."""
    lines = path.read_bytes().split(b"\n") if path.is_file() else []
    return {
        place: sha256.decode("ascii", "replace")
        for sha256, _, place in (line.partition(b"  ") for line in lines)
        if place
    }


@dataclass(slots=True)
class _Masks:
    """Converts annotations and masks for a format, and measures the accuracy of polygons.

    Attributes:
        problems: receives the annotations that are left out.
        tolerance: polygon tolerance in pixels; None if no polygons are needed.
        to_rle: whether all masks are converted to RLE.
        error: of the first annotation that is left out.
        kept: number of the others.
    """

    problems: Problems
    form: str
    tolerance: float | None
    to_rle: bool
    cost: PolygonCost = field(default_factory=PolygonCost)
    error: HqsamError | None = None
    kept: int = 0

    def converted_or_none(self, annotation: Annotation, size: tuple[int, int] | None) -> Annotation | None:
        """Convert an annotation for the format; None, with a note, if it lacks something."""
        try:
            changed = self._converted(annotation, size)
        except HqsamError as error:
            self.error = self.error or error
            self.problems.add("annotations that cannot be converted, left out", error.reason)
            return None
        self.kept += 1
        if self.form == "results" and number_or_none(annotation.get("score")) is None:
            self.problems.add("results without a score, which evaluation requires", f"annotation {annotation['id']}")
        return changed

    def check(self) -> None:
        """Raise the first error if no annotation can be converted."""
        if self.error is not None and not self.kept:
            raise self.error

    def _converted(self, annotation: Annotation, size: tuple[int, int] | None) -> Annotation:
        """Convert an annotation for the format; raises an HqsamError if it lacks something."""
        if self.form in FOLDERS and annotation.get("category_id") is None:
            raise self._error(annotation, " has no category_id")
        if self.form in BOXES and read_numbers(annotation.get("bbox"), 4) is None:
            raise self._error(annotation, " has no bbox")
        if self.tolerance is None and not self.to_rle:
            return annotation
        shape: Segmentation | None = cast(Any, annotation.get("segmentation"))
        if not shape:
            raise self._error(annotation, " has no mask", "choose a box format: coco, results, yolo or voc")
        if size is None and isinstance(shape, dict):
            size = shape["size"][1], shape["size"][0]
        changed: Annotation = {**annotation}
        try:
            given = sound_polygons(shape) if isinstance(shape, list) and not self.to_rle else None
            if given is not None and MASK_FORMATS[self.form].rasterized == BY_CENTERS:
                polygons: Polygons = {"parts": given, "ious": {self.form: 1.0}, "dropped": 0}  # they are the mask
            elif size is None:
                raise ValueError("belongs to an image of unknown size")
            else:
                mask = MaskCrop.whole(decode_segmentation(shape, *size))
                if self.to_rle:
                    changed["segmentation"] = mask.rle
                if self.tolerance is None:
                    return changed
                polygons = self._polygons(mask, given, self.tolerance)
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise self._error(annotation, f": its mask {error}") from None
        changed["polygons"] = polygons
        self.cost.add([changed])
        return changed

    def _polygons(self, mask: MaskCrop, given: Parts | None, tolerance: float) -> Polygons:
        """The polygons of the input, if readers of the format draw them true; otherwise outlines of the mask."""
        if given is None:
            return mask_polygons(mask, tolerance, [self.form])
        parts = with_pixels(given, mask.width, mask.height)
        kept: Polygons = {"parts": parts, "ious": ious(parts, mask, [self.form]), "dropped": 0}
        if kept["ious"][self.form] >= SAME:
            return kept
        made = mask_polygons(mask, tolerance, [self.form])
        if made["ious"][self.form] <= kept["ious"][self.form]:
            return kept
        self.cost.replaced += 1
        return made

    def _error(self, annotation: Annotation, reason: str, remedy: str = "fix the file") -> HqsamError:
        return HqsamError(f"annotation {annotation['id']}{reason}", file=self.problems.file, remedy=remedy)
