"""Plots of an evaluation, and images beside their masks."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from ..formats.overlay import overlay, titled
from ..formats.picture_writer import write_picture
from ..io.atomic import write_file
from ..report.pictures import where_most, with_insets
from .rows import Row

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CELL_HEIGHT, SCREEN_WIDTH = 480, 1920
LINES = ("-", "--", ":", "-.")  # line styles of datasets and models


@dataclass(frozen=True, slots=True)
class Comparison:
    """An image, uint8 RGB (H, W, 3), with its ground truth and predicted masks, bool (H, W), by mask output."""

    image: np.ndarray
    gts: list[np.ndarray]
    outputs: dict[str, list[np.ndarray]] = field(default_factory=dict)


def write_curves(path: Path, rows: Sequence[Row], axes_labels: tuple[str, str]) -> None:
    """Plot the rows' curves with one color per mask output; points of several prompts form one curve."""
    figure = _figure((7, 4.5))
    axes = figure.add_subplot()
    curves: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for row in rows:
        points = list(zip(row.curve.get("x", []), row.curve.get("y", []), strict=True))
        if points:
            curves.setdefault((row.model, row.dataset, row.output), []).extend(points)
    outputs = list(dict.fromkeys(output for _, _, output in curves))
    places = list(dict.fromkeys((model, dataset) for model, dataset, _ in curves))
    several = len({model for model, _ in places}) > 1
    for (model, dataset, output), points in curves.items():
        style = LINES[places.index((model, dataset)) % len(LINES)]
        label = ", ".join([*([model] if several else []), dataset, output])
        x, y = zip(*sorted(points), strict=True)
        axes.plot(x, y, style, marker="o", color=f"C{outputs.index(output)}", label=label)
    axes.set_xlabel(axes_labels[0])
    axes.set_ylabel(f"{axes_labels[1]}, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    _save(figure, path)


def write_scatter(path: Path, title: str, points: Sequence[tuple[float, float]]) -> None:
    """Plot IoU against SAM's IoU, in percent, one dot per image; above the diagonal SAM is worse."""
    figure = _figure((5.5, 5.5))
    axes = figure.add_subplot()
    x, y = zip(*points, strict=True)
    axes.plot((0, 100), (0, 100), color="0.6", linewidth=1)
    axes.scatter(x, y, s=14, alpha=0.5)
    low = max(0.0, min(*x, *y) - 3)
    axes.set(xlim=(low, 100.5), ylim=(low, 100.5), xlabel="IoU of SAM, %", ylabel="IoU, %")
    # Escape dollar signs in file names, which would start a formula.
    axes.set_title(title, fontsize="medium", wrap=True, parse_math=False)
    axes.grid(alpha=0.3)
    _save(figure, path)


def _figure(size: tuple[float, float]) -> Figure:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.removeprefix(".").lower() or "png", dpi=150)
    write_file(path, picture.getvalue())


def write_comparison(path: Path, compared: Comparison, scores: Mapping[str, float]) -> None:
    """Write a PNG of the image, ground truth and masks, each above a magnified crop of its worst region.

    `scores` are IoUs from 0 to 1 by mask output.
    """
    image = compared.image
    empty = np.zeros((1, *image.shape[:2]), bool)
    truth = np.any([*empty, *compared.gts], axis=0)
    differs = [np.any([*empty, *masks], axis=0) ^ truth for masks in compared.outputs.values()]
    parts = where_most(np.any([*empty, *differs], axis=0))
    pictures = {"image": image, "ground truth": overlay(image, compared.gts)}
    for output, masks in compared.outputs.items():
        title = f"{output}: IoU {100 * scores[output]:.1f}" if output in scores else output
        pictures[title] = overlay(image, masks)
    cells = [_cell(with_insets(picture, parts), title) for title, picture in pictures.items()]
    across = max(1, min(len(cells), SCREEN_WIDTH // cells[0].shape[1]))
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % across)
    rows = [np.hstack(cells[start : start + across]) for start in range(0, len(cells), across)]
    write_picture(path, np.vstack(rows))


def _cell(image: np.ndarray, title: str) -> np.ndarray:
    """Scale an image to a cell and add a title."""
    scale = min(CELL_HEIGHT / image.shape[0], SCREEN_WIDTH / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    cell = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return titled(cell, title)
