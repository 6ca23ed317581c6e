"""Two runs side by side, without ground truth: a page of the masks in which they differ most."""

from __future__ import annotations

import csv
import html
import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pycocotools import mask as coco_mask

from ..errors import ImageError
from ..formats.overlay import overlay, titled
from ..formats.picture_writer import write_picture
from ..formats.segmentation import decode_segmentation
from ..formats.values import Identifier
from ..io.atomic import write_file
from ..progress import Progress
from ..records import Annotation
from .look import QUALITY, validated
from .photos import Photo
from .pictures import enlarged

PAGE, TABLE = "index.html", "differences.csv"
SHOWN = 200  # differences with a picture
SURROUNDINGS = 0.4  # of the size of the object, on each side of its picture
PANEL = 480  # minimum longer side of a panel in pixels
EQUAL = 0.999  # IoU of masks that are not listed
STYLE = "body{font:15px sans-serif;margin:2em}figure{margin:0 0 2em}img{max-width:100%}figcaption{color:#444}"
COLUMNS = (
    "file_name",
    "iou",
    "id",
    "category",
    "score",
    "area",
    "other_id",
    "other_category",
    "other_score",
    "other_area",
)


class Difference(NamedTuple):
    """An object of an image in two runs.

    Attributes:
        photo: of the first run.
        pair: its annotation in each run, or None.
        iou: of the two masks; 0 if one is missing.
    """

    photo: Photo
    pair: tuple[Annotation | None, Annotation | None]
    iou: float

    @property
    def rank(self) -> tuple[bool, float]:
        """Sort key: objects of one run by area, then others by IoU."""
        areas = [own["area"] for own in self.pair if own is not None]
        return len(areas) == 2, self.iou if len(areas) == 2 else -max(areas)


@dataclass(frozen=True, slots=True)
class Compared:
    """The differences of two runs.

    Attributes:
        differences: the largest first.
        equal: number of objects whose masks are equal.
        alone: number of images that only one run has, that failed in one, or of another size.
    """

    differences: list[Difference]
    equal: int
    alone: int


def compare_runs(photos: Sequence[Photo], others: Sequence[Photo]) -> Compared:
    """Match the masks of images with equal names, by IoU, whatever their category.

    Raises:
        HqsamError: a segmentation is invalid.
    """
    known = {photo.record.file_name: photo.record for photo in others}
    found: list[Difference] = []
    equal = alone = 0
    for photo in photos:
        record, other = photo.record, known.pop(photo.record.file_name, None)
        if record.size is None or other is None or other.size != record.size or record.failure or other.failure:
            alone += 1
            continue
        size = record.size
        own, theirs = ([validated(a, r.file_name, size)[0] for a in r.annotations] for r in (record, other))
        for first, second, iou in _matched(own, theirs):
            if iou >= EQUAL:
                equal += 1
            else:
                found.append(Difference(photo, (first, second), iou))
    return Compared(sorted(found, key=lambda own: own.rank), equal, alone + len(known))


def _matched(
    first: list[Annotation], second: list[Annotation]
) -> Iterator[tuple[Annotation | None, Annotation | None, float]]:
    """Pairs of masks in the order of their IoU, then the masks without a partner."""
    left, right = set(range(len(first))), set(range(len(second)))
    if first and second:
        shapes = [[own["segmentation"] for own in annotations] for annotations in (first, second)]
        ious = np.asarray(coco_mask.iou(*shapes, [0] * len(second)))
        for place in np.argsort(-ious, axis=None, kind="stable"):
            row, column = divmod(int(place), len(second))
            if ious[row, column] <= 0:
                break
            if row in left and column in right:
                left.remove(row)
                right.remove(column)
                yield first[row], second[column], float(ious[row, column])
    yield from ((first[row], None, 0.0) for row in sorted(left))
    yield from ((None, second[column], 0.0) for column in sorted(right))


def write_against(
    compared: Compared,
    folder: Path,
    titles: tuple[str, str],
    names: tuple[Mapping[Identifier | None, str], Mapping[Identifier | None, str]],
    *,
    max_pixels: int,
    progress: Progress,
) -> Path:
    """Write a page with pictures of the largest differences, and a table of all; return the path of the page.

    Args:
        titles: of the two runs.
        names: category names by id, of each run.
    """
    shutil.rmtree(folder, ignore_errors=True)
    _write_table(folder / TABLE, compared.differences, names)
    shown = compared.differences[:SHOWN]
    progress.on_start(len(shown), 0)
    pictured: dict[int, str] = {}
    for photo in {id(own.photo): own.photo for own in shown}.values():  # each is read once
        own = [number for number, difference in enumerate(shown) if difference.photo is photo]
        try:
            pixels = photo.read(max_pixels)
            for number in own:
                pictured[number] = f"{number}.jpg"
                write_picture(folder / pictured[number], _picture(shown[number], pixels, titles), QUALITY)
        except ImageError as error:
            progress.on_problem(str(error))
        for _ in own:
            progress.advance()
    figures = (_figure(own, pictured.get(number), titles, names) for number, own in enumerate(shown))
    summary = f"{len(compared.differences)} objects differ, {compared.equal} are equal" + (
        f"; {len(shown)} are shown, all are in {TABLE}" if len(shown) < len(compared.differences) else ""
    )
    heading = html.escape(f"{titles[0]} against {titles[1]}")
    page = f"<!doctype html><meta charset=utf-8><title>{heading}</title><style>{STYLE}</style><h1>{heading}</h1>"
    page += f'<p><a href="../{PAGE}">Report of {html.escape(titles[0])}</a></p>'
    write_file(folder / PAGE, f"{page}<p>{summary}</p>{''.join(figures)}".encode("utf-8", "replace"))
    return folder / PAGE


def _picture(own: Difference, photo: np.ndarray, titles: Sequence[str]) -> np.ndarray:
    """The surroundings of an object with its mask in each run, side by side: uint8 RGB."""
    height, width = photo.shape[:2]
    boxes = np.array([annotation["bbox"] for annotation in own.pair if annotation is not None])
    x0, y0 = boxes[:, :2].min(axis=0)
    x1, y1 = (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
    margin = SURROUNDINGS * max(x1 - x0, y1 - y0) + 4
    left, top = (max(int(n - margin), 0) for n in (x0, y0))
    right, bottom = min(int(x1 + margin), width), min(int(y1 + margin), height)
    place = slice(top, bottom), slice(left, right)
    panels = []
    for annotation, title in zip(own.pair, titles, strict=True):
        masks = [] if annotation is None else [decode_segmentation(annotation["segmentation"], width, height)[place]]
        drawn = overlay(*enlarged(photo[place], masks, PANEL))
        panels.append(titled(drawn, title if masks else f"{title}: no such mask"))
    return np.hstack(panels)


def _texts(
    annotation: Annotation | None, names: Mapping[Identifier | None, str]
) -> tuple[object, object, object, object]:
    """Id, category, score and area."""
    if annotation is None:
        return "", "", "", ""
    category = names.get(annotation["category_id"], f"category {annotation['category_id']}")
    return annotation["id"], category, annotation.get("score", ""), annotation["area"]


def _figure(
    own: Difference, picture: str | None, titles: Sequence[str], names: Sequence[Mapping[Identifier | None, str]]
) -> str:
    what = [f"IoU {own.iou:.3f}" if None not in own.pair else "in one run"]
    for annotation, title, known in zip(own.pair, titles, names, strict=True):
        if annotation is not None:
            number, category, score, area = _texts(annotation, known)
            what.append(f"{title}: {number}, {category}{f' {score}' if score != '' else ''}, {area} pixels")
    text = html.escape(" · ".join([own.photo.record.file_name, *what]))
    image = "" if picture is None else f'<img loading=lazy src="{picture}" alt="">'
    return f"<figure>{image}<figcaption>{text}</figcaption></figure>"


def _write_table(
    path: Path, differences: Sequence[Difference], names: Sequence[Mapping[Identifier | None, str]]
) -> None:
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for own in differences:
        cells = [cell for pair in zip(own.pair, names, strict=True) for cell in _texts(*pair)]
        table.writerow((own.photo.record.file_name, f"{own.iou:.4f}", *cells))
    write_file(path, text.getvalue().encode("utf-8", "surrogateescape"))
