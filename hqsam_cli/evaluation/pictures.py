"""What an evaluation looks like: curves, and the worst images side by side."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from ..io.atomic import atomic_file
from ..report.overlay import overlay, titled
from .report import Row

CELL_HEIGHT, SCREEN_WIDTH = 480, 1920
LINES = ("-", "--", ":", "-.")  # data sets and models


@dataclass(frozen=True, slots=True)
class Comparison:
    """An image, uint8 RGB (H, W, 3), with what is to be found in it and what each mask output found, bool (H, W)."""

    image: np.ndarray
    gts: list[np.ndarray]
    outputs: dict[str, list[np.ndarray]] = field(default_factory=dict)


def write_curves(path: Path, rows: Sequence[Row], *, axis: str, figure_name: str) -> None:
    """A plot of each row's curve, a color a mask output; rows of several prompts, of one point each, are joined."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
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
    axes.set_xlabel(axis)
    axes.set_ylabel(f"{figure_name}, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.removeprefix(".").lower() or "png", dpi=150)
    with atomic_file(path) as file:
        file.write(picture.getvalue())


def write_comparison(path: Path, compared: Comparison, scores: Mapping[str, float]) -> None:
    """A PNG of the photo and of the masks over it, named, in rows that a screen can show.

    Args:
        scores: IoU by mask output, 0 to 1, to stand beside its name.
    """
    image = compared.image
    cells = [_cell(image, "photo"), _cell(overlay(image, compared.gts), "ground truth")]
    for output, masks in compared.outputs.items():
        title = f"{output}: IoU {100 * scores[output]:.1f}" if output in scores else output
        cells.append(_cell(overlay(image, masks), title))
    across = max(1, min(len(cells), SCREEN_WIDTH // cells[0].shape[1]))
    blank = np.full_like(cells[0], 255)
    cells += [blank] * (-len(cells) % across)
    rows = [np.hstack(cells[start : start + across]) for start in range(0, len(cells), across)]
    encoded = cv2.imencode(".png", np.vstack(rows)[..., ::-1])[1]
    with atomic_file(path) as file:
        file.write(encoded.tobytes())


def _cell(image: np.ndarray, title: str) -> np.ndarray:
    """The picture within a part of a screen, with its title above."""
    scale = min(CELL_HEIGHT / image.shape[0], SCREEN_WIDTH / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    cell = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return titled(cell, title)
