"""The HTML report of a run: a folder that needs no server.

Data are scripts that call a function of the page with JSON, since a page opened from disk may not fetch files. Photos
and mask statistics are loaded with the page; mask shapes, most of the bytes, on demand from files sorted by suspicion,
so that viewing the worst masks loads few files.
"""

from __future__ import annotations

import csv
import hashlib
import html
import io
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools.mask import toBbox as to_bbox

from ..errors import HqsamError
from ..formats.values import Identifier, identifier
from ..io.atomic import write_file
from ..progress import Progress
from ..results.marks import REPORT, TABLE
from ..results.stream import Results
from .look import LookedAt, look_at
from .photos import Photo
from .suspicion import PARTS, join_parts, suspicion_parts, unusual_sizes

PAGE, AGAINST = "index.html", "against"
PHOTOS_A_FILE, SHAPES_A_FILE = 500, 500
STATIC = ("report.css", "rle.js", "draw.js", "charts.js", "gallery.js", "viewer.js", "marks.js", "report.js")
FOLDERS = ("data", "thumbnails", "photos", AGAINST)  # subfolders of a report, recreated each time
AHEAD = 8  # images queued per thread
# Columns of the table, before the parts of the suspicion.
_NAMES = ("file_name", "path", "mask", "image_id", "annotation_id", "category_id", "category")
TABLE_COLUMNS = (*_NAMES, "score", "predicted_iou", "area", "x", "y", "width", "height", "rank", "suspicion")
# Columns of the statistics of a mask, for the page.
COLUMNS = ("id", "category", "score", "iou", "area", "box", "asked", "suspicion", "rank", "parts", "sam")


@dataclass(frozen=True, slots=True)
class Judged:
    """All masks of a run, in order.

    Attributes:
        parts: float (n, measures), contribution of each measure.
        suspicion: float (n,).
        ranks: int (n,), 0 for the most suspicious.
    """

    parts: np.ndarray
    suspicion: np.ndarray
    ranks: np.ndarray


def write_report(
    results: Results,
    photos: Sequence[Photo],
    run: Path,
    *,
    max_pixels: int,
    workers: int,
    progress: Progress,
    against: Path | None = None,
) -> tuple[Path, int]:
    """Write `report/` into the output folder; return the path of the page, and the number of unreadable photos.

    Args:
        photos: the images of the results.
        against: another run, to whose comparison the page links.

    Raises:
        HqsamError: `report` exists and is not a report, or it cannot be written.
    """
    report = run / REPORT
    if report.exists() and not (report / STATIC[0]).is_file() and (not report.is_dir() or any(report.iterdir())):
        raise HqsamError("already exists, and is not a report of hqsam", file=report, remedy="rename it")
    try:
        for name in STATIC:  # first, as they identify the folder as a report
            write_file(report / name, _static(name))
        for name in FOLDERS:
            shutil.rmtree(report / name, ignore_errors=True)
        looked = []
        progress.on_start(len(photos), 0)
        for seen in _look_at_all(photos, report, max_pixels, workers):
            if seen.problem is not None:
                progress.on_problem(seen.problem)
            looked.append(seen)
            progress.advance()
        judged = judge(looked)
        names = {identifier(category["id"]): str(category["name"]) for category in results.categories}
        _write_table(report / TABLE, looked, judged, names, run)
        scripts = _write_data(report / "data", looked, judged, names, results.info, run)
        tags = "\n".join(f'<script src="data/{name}"></script>' for name in scripts)
        link = f'<p><a href="{AGAINST}/{PAGE}">Side by side with {html.escape(str(against))}</a></p>' if against else ""
        page = _static(PAGE).replace(b"<!-- DATA -->", tags.encode())
        write_file(report / PAGE, page.replace(b"<!-- AGAINST -->", link.encode("utf-8", "replace")))
    except OSError as error:
        raise HqsamError(f"cannot be written ({error.strerror})", file=error.filename or report) from None
    return report / PAGE, sum(seen.problem is not None for seen in looked)


def judge(looked: Sequence[LookedAt]) -> Judged:
    """The suspicion of all masks; computed at once, as it depends on the statistics of each category."""
    measured = np.concatenate([np.zeros((0, len(PARTS))), *(seen.measured for seen in looked)])
    pairs = [(own, seen.photo.record.size) for seen in looked for own in seen.annotations]
    fractions = np.array([own["area"] / (size[0] * size[1]) for own, size in pairs if size])
    categories = np.array([str(own["category_id"]) for own, _ in pairs])
    measured[:, list(PARTS).index("size")] = unusual_sizes(fractions, categories)
    parts = suspicion_parts(measured)
    suspicion = join_parts(parts)
    ranks = np.empty(len(suspicion), np.int64)
    ranks[np.argsort(-suspicion, kind="stable")] = np.arange(len(suspicion))
    return Judged(parts, suspicion, ranks)


def _look_at_all(photos: Sequence[Photo], report: Path, max_pixels: int, workers: int) -> Iterator[LookedAt]:
    with ThreadPoolExecutor(workers, "look") as pool:
        for chunk in _chunks(list(enumerate(photos)), workers * AHEAD):
            yield from pool.map(lambda pair: look_at(pair[1], pair[0], report, max_pixels), chunk)


def _write_table(
    path: Path, looked: Sequence[LookedAt], judged: Judged, names: Mapping[Identifier | None, str], run: Path
) -> None:
    """Write a table with one row per mask, for other programs."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow((*TABLE_COLUMNS, *PARTS))
    masks = ((seen.photo, own) for seen in looked for own in seen.annotations)
    for row, (photo, own) in enumerate(masks):
        record = photo.record
        mask = Path("masks", record.file_name, f"{own['id']}.png")
        place = record.file_name, photo.path, mask if (run / mask).is_file() else None
        category = own["category_id"], names.get(own["category_id"])
        figures = own.get("score"), own.get("predicted_iou"), own["area"], *own["bbox"]
        judgment = [f"{value:.4f}" for value in (judged.suspicion[row], *judged.parts[row])]
        table.writerow((*place, record.image_id, own["id"], *category, *figures, judged.ranks[row] + 1, *judgment))
    write_file(path, text.getvalue().encode("utf-8", "surrogateescape"))


def _write_data(
    folder: Path,
    looked: Sequence[LookedAt],
    judged: Judged,
    names: Mapping[Identifier | None, str],
    info: Mapping[str, Any],
    run: Path,
) -> list[str]:
    """Write the scripts of the page: run, photos, and shapes by suspicion; return the names of the first two."""
    shapes: list[list[str]] = [[] for _ in judged.ranks]
    known: dict[Identifier | None, int] = {}
    counts: Counter[Identifier | None] = Counter()
    photos, row = [], 0
    for seen in looked:
        masks = []
        for own in seen.annotations:
            both = [own["segmentation"], own["sam"]["segmentation"]] if "sam" in own else [own["segmentation"]]
            shapes[judged.ranks[row]] = [rle["counts"] for rle in both]
            counts[own["category_id"]] += 1
            ids = own["id"], known.setdefault(own["category_id"], len(known))
            figures = own.get("score"), own.get("predicted_iou"), own["area"], own["bbox"], own.get("prompt_box")
            judgment = round(float(judged.suspicion[row]), 4), int(judged.ranks[row])
            parts = [round(float(part), 3) for part in judged.parts[row]]
            sam_box = [int(n) for n in to_bbox(both[1])] if "sam" in own else None
            masks.append([*ids, *figures, *judgment, parts, sam_box])  # as in COLUMNS
            row += 1
        photos.append(_photo_data(seen, masks))
    categories = [{"id": key, "name": names.get(key, f"category {key}"), "masks": counts[key]} for key in known]
    scripts = {"summary.js": _script("summary", _summary(looked, categories, info, run))}
    for number, chunk in enumerate(_chunks(photos, PHOTOS_A_FILE)):
        scripts[f"photos-{number}.js"] = _script("photos", chunk)
    for name, content in scripts.items():
        write_file(folder / name, content)
    for number, chunk in enumerate(_chunks(shapes, SHAPES_A_FILE)):
        write_file(folder / f"shapes-{number}.js", _script("shapes", number, chunk))
    return list(scripts)


def _photo_data(seen: LookedAt, masks: list[list[Any]]) -> dict[str, Any]:
    record = seen.photo.record
    width, height = record.size or (None, None)
    failure = record.failure
    return {
        "file": record.file_name,
        "id": record.image_id,
        "path": seen.photo.path,
        "url": seen.url,
        "thumb": seen.thumbnail,
        "width": width,
        "height": height,
        "failure": failure
        and {"text": str(failure), "reason": failure.reason, "detail": failure.detail, "remedy": failure.remedy},
        "seconds": dict(seen.photo.seconds),
        "masks": masks,
    }


def _summary(
    looked: Sequence[LookedAt], categories: Sequence[Mapping[str, object]], info: Mapping[str, Any], run: Path
) -> dict[str, Any]:
    groups: dict[tuple[str, str], list[list[str]]] = {}
    masks = []
    for seen in looked:
        failure = seen.photo.record.failure
        if failure is None:
            masks.append(len(seen.annotations))
        else:
            group = groups.setdefault((failure.reason, failure.remedy), [])
            group.append([seen.photo.record.file_name, failure.detail])
    made = [info.get("command"), info.get("date_created")]
    return {
        "title": run.resolve().name,
        # The key under which the browser stores marks.
        "name": hashlib.sha256(os.fsencode(run.resolve()) + str(made).encode()).hexdigest()[:16],
        "made": " · ".join(str(part) for part in made if part),
        "info": dict(info),
        "totals": [
            ["images", f"{len(looked)}"],
            ["masks", f"{sum(masks)}"],
            ["masks per image", f"{np.mean(masks):.1f}" if masks else "–"],
            ["without masks", f"{masks.count(0)}"],
            ["failed", f"{len(looked) - len(masks)}"],
        ],
        "failures": [{"reason": r, "remedy": m, "files": f} for (r, m), f in groups.items()],
        "categories": categories,
        "columns": COLUMNS,
        "parts": [[name, ramp.text] for name, ramp in PARTS.items()],
        "shapes_a_file": SHAPES_A_FILE,
    }


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _script(function: str, *arguments: Any) -> bytes:
    given = ",".join(json.dumps(argument, separators=(",", ":")) for argument in arguments)
    return f"hqsam.{function}({given});\n".encode("ascii")


def _static(name: str) -> bytes:
    return (files(__package__) / "static" / name).read_bytes()
