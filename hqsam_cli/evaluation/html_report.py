"""HTML report of an evaluation: tables, plots, and the worst and best images. It needs no server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from ..io.atomic import write_file
from .differences import LEVEL, Difference, table_of_differences
from .plots import write_curves, write_scatter
from .rows import Row, Table, table_of
from .scores import ImageLine

PAGE = "index.html"
CASES = 8  # worst images, and best images
STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; max-width: 1500px; padding: 0 20px 40px; font: 15px/1.45 system-ui, sans-serif;
  background: light-dark(#fbfbfa, #16181b); color: light-dark(#1b1d20, #eceef0); }
p, figcaption { color: light-dark(#55595f, #a9afb7); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 12px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid light-dark(#d4d6d9, #3b4047); }
figure { margin: 16px 0; }
figcaption { overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 480px), 1fr)); gap: 16px; }
"""


def write_page(
    folder: Path,
    rows: Sequence[Row],
    compared: Sequence[Difference],
    lines: Sequence[ImageLine],
    pictures: Mapping[str, Sequence[Path]],
    facts: Mapping[str, str],
    axes: tuple[str, str],
) -> None:
    """Write `index.html` and its plots.

    `pictures` maps titles to images in the folder; `axes` label the curves.
    """
    about = " · ".join(f"{escape(name)} {escape(value)}" for name, value in facts.items())
    parts = [f"<h1>Evaluation</h1><p>{about}</p>", _table("Scores", "gains over SAM in brackets", table_of(rows))]
    if compared:
        note = f"with their {LEVEL} % confidence intervals, by a paired bootstrap over images"
        parts.append(_table("Differences", note, table_of_differences(compared)))
    plots = []
    if any(row.curve for row in rows):
        write_curves(folder / "curves.svg", rows, axes)
        plots.append(_figure("curves.svg", f"{axes[1]} by {axes[0]}"))
    for number, (title, points) in enumerate(_points(lines).items(), 1):
        write_scatter(folder / f"scatter-{number}.svg", title, points)
        plots.append(_figure(f"scatter-{number}.svg", f"{title}: a dot per image"))
    if plots:
        parts.append(f'<h2>Plots</h2><div class="plots">{"".join(plots)}</div>')
    for title, paths in pictures.items():
        shown = [_figure(str(path.relative_to(folder)), path.stem) for path in paths]
        parts.append(f"<h2>{escape(title)}</h2>{''.join(shown)}")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f'<title>hqsam eval</title><link rel="icon" href="data:,"><style>{STYLE}</style>'
    text = f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{"".join(parts)}</body></html>\n'
    write_file(folder / PAGE, text.encode("utf-8", "backslashreplace"))


def _points(lines: Sequence[ImageLine]) -> dict[str, list[tuple[float, float]]]:
    """Per-image IoU of SAM and of the last mask output, in percent, by model, dataset, prompt and output."""
    ious: dict[tuple[str, str, str], dict[str, dict[str, float]]] = {}
    for line in lines:
        if "IoU" in line.metrics:
            images = ious.setdefault((line.model, line.dataset, line.prompt), {})
            images.setdefault(line.image, {})[line.mask_output] = 100 * line.metrics["IoU"]
    points = {}
    for key, images in ious.items():
        output = list(next(iter(images.values())))[-1]
        pairs = [(own["sam"], own[output]) for own in images.values() if "sam" in own and output in own]
        if pairs and output != "sam":
            points[", ".join([*key, f"{output} against SAM"])] = pairs
    return points


def _table(title: str, note: str, table: Table) -> str:
    headings, cells = table
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in headings)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in cells)
    return f'<h2>{escape(title)}</h2><p>{escape(note)}</p><div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def _figure(source: str, title: str) -> str:
    address = quote(source.encode("utf-8", "surrogateescape"))
    text = escape(title)
    return f'<figure><img src="{address}" alt="{text}" loading="lazy"><figcaption>{text}</figcaption></figure>'
