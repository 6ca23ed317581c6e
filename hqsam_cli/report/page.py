"""The page of a run: a folder that opens from disk.

The data are scripts that call a function of the page with JSON, since a page from disk may not fetch files. Photos with
the figures of their masks come with the page; the shapes, most of the bytes, come when they are looked at, in files by
suspicion, so that whoever looks at the worst first loads few.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import HqsamError
from ..io.atomic import atomic_file
from ..progress import Progress
from .look import LookedAt, look_at
from .results import ResultImage, Results, failure_of
from .suspicion import PARTS, join_parts, suspicion_parts, unusual_sizes

PAGE, TABLE = "index.html", "instances.csv"
PHOTOS_A_FILE, SHAPES_A_FILE = 500, 500
STATIC = ("report.css", "rle.js", "draw.js", "charts.js", "gallery.js", "viewer.js", "marks.js", "report.js")
FOLDERS = ("data", "thumbnails", "photos")  # of a report, made anew each time
AHEAD = 8  # images that a thread has waiting
# What a row of the table holds, before the parts of the suspicion.
_NAMES = ("file_name", "path", "mask", "image_id", "annotation_id", "category_id", "category")
TABLE_COLUMNS = (*_NAMES, "score", "predicted_iou", "area", "x", "y", "width", "height", "rank", "suspicion")
# What a row of figures of a mask holds, for the page.
COLUMNS = ("id", "category", "score", "iou", "area", "box", "asked", "suspicion", "rank", "parts", "sam")


@dataclass(frozen=True, slots=True)
class Judged:
    """All masks of a run, in its order.

    Attributes:
        parts: float (n, measures), what each measure counts.
        suspicion: float (n,).
        ranks: int (n,), 0 for the most suspicious.
    """

    parts: np.ndarray
    suspicion: np.ndarray
    ranks: np.ndarray


def write_report(
    results: Results, run: Path, *, exif: str, max_pixels: int, workers: int, progress: Progress
) -> tuple[Path, int]:
    """Write `report/` into the folder of a run; the path of its page, and how many photos could not be shown.

    Raises:
        HqsamError: there is something else of that name, or it cannot be written.
    """
    report = run / "report"
    if report.exists() and not (report / STATIC[0]).is_file() and (not report.is_dir() or any(report.iterdir())):
        raise HqsamError("is there, and is no report of this tool", file=report, remedy="rename it")
    try:
        _write_static(report)  # first: by it the folder is known as a report
        for name in FOLDERS:
            shutil.rmtree(report / name, ignore_errors=True)
        looked, missing = [], 0
        progress.on_start(len(results.images), 0)
        for seen in _look_at_all(results.images, report, exif, max_pixels, workers):
            if seen.problem is not None:
                progress.on_problem(seen.problem)
                missing += 1
            looked.append(seen)
            progress.advance()
        judged = judge(looked)
        _write_table(report / TABLE, looked, judged, results.categories, run)
        _write_data(report / "data", looked, judged, results, run)
        _write_page(report)
    except OSError as error:
        raise HqsamError(f"cannot be written ({error.strerror})", file=error.filename or report) from None
    return report / PAGE, missing


def judge(looked: Sequence[LookedAt]) -> Judged:
    """The suspicion of all masks; what is usual for a category is known when all are."""
    measured = np.concatenate([np.zeros((0, len(PARTS))), *(seen.measured for seen in looked)])
    pairs = [(a, seen.image.size) for seen in looked for a in seen.annotations if seen.image.size]
    shares = np.array([a["area"] / (size[0] * size[1]) for a, size in pairs])
    measured[:, list(PARTS).index("size")] = unusual_sizes(shares, np.array([str(a["category_id"]) for a, _ in pairs]))
    parts = suspicion_parts(measured)
    suspicion = join_parts(parts)
    ranks = np.empty(len(suspicion), np.int64)
    ranks[np.argsort(-suspicion, kind="stable")] = np.arange(len(suspicion))
    return Judged(parts, suspicion, ranks)


def _look_at_all(
    images: Sequence[ResultImage], report: Path, exif: str, max_pixels: int, workers: int
) -> Iterator[LookedAt]:
    with ThreadPoolExecutor(workers, "look") as pool:
        step = workers * AHEAD
        for start in range(0, len(images), step):
            numbered = enumerate(images[start : start + step], start)
            yield from pool.map(
                lambda pair: look_at(pair[1], pair[0], report, exif=exif, max_pixels=max_pixels), numbered
            )


def _write_table(path: Path, looked: Sequence[LookedAt], judged: Judged, categories: dict[Any, str], run: Path) -> None:
    """One row a mask, for other programs."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow((*TABLE_COLUMNS, *PARTS))
    row = 0
    for seen in looked:
        image = seen.image
        for a in seen.annotations:
            mask = Path("masks", image.file_name, f"{a['id']}.png")
            category = a["category_id"], categories.get(a["category_id"])
            figures = a.get("score"), a.get("predicted_iou"), a["area"], *a["bbox"]
            names = image.file_name, image.path, mask if (run / mask).is_file() else None
            judgment = [f"{value:.4f}" for value in (judged.suspicion[row], *judged.parts[row])]
            table.writerow((*names, image.image_id, a["id"], *category, *figures, judged.ranks[row] + 1, *judgment))
            row += 1
    with atomic_file(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def _write_data(folder: Path, looked: Sequence[LookedAt], judged: Judged, results: Results, run: Path) -> None:
    """The scripts of the page: the run, the photos, and the shapes by suspicion."""
    shapes: list[list[str]] = [[] for _ in judged.ranks]
    known: dict[Any, int] = {}
    for seen in looked:
        for annotation in seen.annotations:
            known.setdefault(annotation["category_id"], len(known))
    rows, row = [], 0
    for seen in looked:
        image, masks = seen.image, []
        for a in seen.annotations:
            shapes[judged.ranks[row]] = [a["segmentation"]["counts"]]
            if "sam" in a:
                shapes[judged.ranks[row]].append(a["sam"]["segmentation"]["counts"])
            figures = {
                "id": a["id"],
                "category": known[a["category_id"]],
                "score": a.get("score"),
                "iou": a.get("predicted_iou"),
                "area": a["area"],
                "box": a["bbox"],
                "asked": a.get("prompt_box"),
                "suspicion": round(float(judged.suspicion[row]), 4),
                "rank": int(judged.ranks[row]),
                "parts": [round(float(part), 3) for part in judged.parts[row]],
                "sam": a["sam"]["bbox"] if "sam" in a else None,
            }
            masks.append([figures[name] for name in COLUMNS])
            row += 1
        width, height = image.size or (None, None)
        rows.append(
            {
                "file": image.file_name,
                "id": image.image_id,
                "path": image.path,
                "url": seen.photo,
                "thumb": seen.thumbnail,
                "width": width,
                "height": height,
                "failure": None if image.error is None else {"text": image.error, **failure_of(image)._asdict()},
                "seconds": dict(image.seconds),
                "masks": masks,
            }
        )
    _write_script(folder / "summary.js", "summary", _summary(rows, known, results, run))
    for number, chunk in enumerate(_chunks(rows, PHOTOS_A_FILE)):
        _write_script(folder / f"photos-{number}.js", "photos", chunk)
    for number, chunk in enumerate(_chunks(shapes, SHAPES_A_FILE)):
        _write_script(folder / f"shapes-{number}.js", "shapes", number, chunk)


def _summary(rows: Sequence[dict[str, Any]], known: dict[Any, int], results: Results, run: Path) -> dict[str, Any]:
    info = results.info
    failed = [row for row in rows if row["failure"]]
    groups: dict[tuple[str, str], list[list[str]]] = {}
    for row in failed:
        failure = row["failure"]
        groups.setdefault((failure["reason"], failure["remedy"]), []).append([row["file"], failure["detail"]])
    masks = [len(row["masks"]) for row in rows if not row["failure"]]
    in_category = np.bincount([mask[1] for row in rows for mask in row["masks"]], minlength=len(known))
    title = run.resolve().name
    made = [info.get("command"), info.get("date_created")]
    return {
        "title": title,
        # Under which the browser keeps the marks.
        "name": hashlib.sha256(os.fsencode(run.resolve()) + str(made).encode()).hexdigest()[:16],
        "made": " · ".join(str(part) for part in made if part),
        "info": dict(info),
        "totals": [
            ["photos", f"{len(rows)}"],
            ["masks", f"{sum(masks)}"],
            ["masks a photo", f"{np.mean(masks):.1f}" if masks else "–"],
            ["without masks", f"{masks.count(0)}"],
            ["failed", f"{len(failed)}"],
        ],
        "failures": [{"reason": r, "remedy": m, "files": f} for (r, m), f in groups.items()],
        "categories": [
            {"id": key, "name": results.categories.get(key, f"category {key}"), "masks": int(in_category[index])}
            for key, index in known.items()
        ],
        "columns": COLUMNS,
        "parts": [[name, ramp.words] for name, ramp in PARTS.items()],
        "shapes_a_file": SHAPES_A_FILE,
    }


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _write_script(path: Path, function: str, *arguments: Any) -> None:
    given = ",".join(json.dumps(argument, separators=(",", ":")) for argument in arguments)
    with atomic_file(path) as file:
        file.write(f"hqsam.{function}({given});\n".encode("ascii"))


def _write_static(report: Path) -> None:
    """What is the same in all reports."""
    for name in STATIC:
        with atomic_file(report / name) as file:
            file.write(_static(name))


def _write_page(report: Path) -> None:
    """The page itself, last."""
    photos = range(len(list((report / "data").glob("photos-*.js"))))
    scripts = "\n".join(
        f'<script src="data/{name}.js"></script>' for name in ("summary", *map("photos-{}".format, photos))
    )
    with atomic_file(report / PAGE) as file:
        file.write(_static(PAGE).replace(b"<!-- DATA -->", scripts.encode()))


def _static(name: str) -> bytes:
    return (files(__package__) / "static" / name).read_bytes()
