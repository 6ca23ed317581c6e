"""COCO: annotations, instances JSON and results lists."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, repeat
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from .. import __version__
from ..configs import SegmentationKind
from ..configs.formats import MASK_FORMATS
from ..io.atomic import atomic_file
from ..records import DECIMALS, Annotation, Category, CocoImage, ImageRecord, Prompt

INSTANCES = MASK_FORMATS["coco"].file  # of a run
encode = json.JSONEncoder(separators=(",", ":")).encode  # as ASCII


@dataclass(frozen=True, slots=True)
class RunRecords:
    """The records of all images at the end of a run.

    Attributes:
        records: returns the records of all images in order; may be called repeatedly.
        categories: COCO categories.
        info: COCO `info`, which describes how the results were made.
        segmentation: encoding of masks; see `shown`.
    """

    records: Callable[[], Iterable[ImageRecord]]
    categories: list[Category]
    info: Mapping[str, Any] = field(default_factory=dict)
    segmentation: SegmentationKind = "rle"


def image_name(item: Mapping[str, Any]) -> str | None:
    """The file name of an image entry; LVIS has `coco_url` instead of `file_name`."""
    names = (item.get(key) for key in ("file_name", "coco_url"))
    return next((name for name in names if isinstance(name, str) and name), None)


def make_detection(prompt: Prompt, image_id: int, category: str | None) -> Annotation:
    """COCO annotation of a detected box, at the precision of the detector.

    It includes the category name, so that a line of NDJSON is self-contained.
    """
    assert prompt.box is not None
    x0, y0, x1, y1 = prompt.box
    width, height = round(x1 - x0, DECIMALS), round(y1 - y0, DECIMALS)
    return {
        "id": prompt.annotation_id,
        "image_id": image_id,
        "category_id": prompt.category_id,
        "category": category,
        "bbox": [x0, y0, width, height],
        "area": round(width * height, DECIMALS),
        "iscrowd": 0,
        "score": prompt.score,
    }


def shown(record: ImageRecord, segmentation: SegmentationKind) -> dict[str, Any]:
    """The record of an image as written to result files: `polygons` removed, or used as the segmentation.

    An empty mask has no polygon and keeps its RLE.
    """
    return {**record.to_dict(), "annotations": [shown_annotation(own, segmentation) for own in record.annotations]}


def shown_annotation(annotation: Annotation, segmentation: SegmentationKind) -> dict[str, Any]:
    """See `shown`."""
    kept = {key: value for key, value in annotation.items() if key != "polygons"}
    parts = annotation["polygons"]["parts"] if segmentation != "rle" else []
    if not parts:
        return kept
    both = {"rle": annotation["segmentation"]} if segmentation == "both" else {}
    return {**kept, "segmentation": parts, **both}


def json_line(value: Mapping[str, Any]) -> bytes:
    """Encode a value as one ASCII line; undecodable bytes in names are kept as lone surrogates."""
    return encode(value).encode("ascii") + b"\n"


def write_coco(path: Path, run: RunRecords) -> None:
    """Write COCO instances JSON; failed images are included, with their `error`, if their size is known."""
    parts = (
        ([] if own.size is None else [own.to_coco()], [shown_annotation(a, run.segmentation) for a in own.annotations])
        for own in run.records()
    )
    write_document(path, run.info, parts, run.categories)


def write_document(
    path: Path,
    info: Mapping[str, Any],
    parts: Iterable[tuple[Iterable[CocoImage], Iterable[Mapping[str, Any]]]],
    categories: Sequence[Mapping[str, Any]],
) -> None:
    """Write COCO instances JSON in one pass.

    Args:
        parts: images and annotations, which follow all images in the file; they wait in a temporary file beside it.
    """
    info = {"description": f"hqsam {__version__}", "version": __version__, **info}
    with atomic_file(path) as file, TemporaryFile(dir=path.parent) as waiting:
        file.write(f'{{"info":{encode(info)},\n"images":[\n'.encode("ascii"))
        before_image, before_annotation = _separators(), _separators()
        for images, annotations in parts:
            file.writelines(next(before_image) + encode(own).encode("ascii") for own in images)
            waiting.writelines(next(before_annotation) + encode(own).encode("ascii") for own in annotations)
        file.write(b'\n],\n"annotations":[\n')
        waiting.seek(0)
        shutil.copyfileobj(waiting, file)
        file.write(f'\n],\n"categories":{encode(categories)}}}\n'.encode("ascii"))


def write_results(path: Path, run: RunRecords) -> None:
    """Write a COCO results list, as loaded by `COCO.loadRes` of `pycocotools`."""
    kept = ("image_id", "category_id", "bbox", "segmentation", "score")
    annotations: Iterator[Mapping[str, Any]] = (own for record in run.records() for own in record.annotations)
    write_list(path, ({key: own[key] for key in kept if key in own} for own in annotations))


def write_list(path: Path, items: Iterable[Any]) -> None:
    """Write a JSON list from an iterable."""
    with atomic_file(path) as file:
        file.write(b"[\n")
        before = _separators()
        file.writelines(next(before) + encode(item).encode("ascii") for item in items)
        file.write(b"\n]\n")


def _separators() -> Iterator[bytes]:
    """What precedes each item of a JSON list."""
    return chain([b""], repeat(b",\n"))
