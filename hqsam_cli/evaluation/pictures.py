"""What an evaluation looks like: curves, and the worst images side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..io.atomic import atomic_file
from ..report.overlay import overlay
from .report import Row

CELL_HEIGHT = 480


def write_curves(path: Path, rows: Sequence[Row], *, clicks: bool) -> None:
    """A plot of each row's curve: mIoU after each click, or mBIoU at each boundary width."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row in rows:
        if row.curve:
            axes.plot(row.curve["x"], row.curve["y"], marker="o", label=f"{row.dataset}, {row.prompt}, {row.output}")
    axes.set_xlabel("clicks" if clicks else "width of the boundary, share of the diagonal")
    axes.set_ylabel("mIoU, %" if clicks else "mBIoU, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format=path.suffix.removeprefix(".").lower() or "png", dpi=150)
    with atomic_file(path) as file:
        file.write(picture.getvalue())


def write_comparison(path: Path, image: np.ndarray, panels: dict[str, np.ndarray]) -> None:
    """A PNG of the photo and of each mask over it, side by side, named.

    Args:
        image: RGB uint8 (H, W, 3).
        panels: bool (H, W) by what to write over them.
    """
    cells = [_cell(image, "photo")]
    cells += [_cell(overlay(image, [mask], [""]), title) for title, mask in panels.items()]
    encoded = cv2.imencode(".png", np.hstack(cells)[..., ::-1])[1]
    with atomic_file(path) as file:
        file.write(encoded.tobytes())


def _cell(image: np.ndarray, title: str) -> np.ndarray:
    """The picture at one height, with its title above."""
    scale = CELL_HEIGHT / image.shape[0]
    size = (max(1, round(image.shape[1] * scale)), CELL_HEIGHT)
    cell = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    cell = np.pad(cell, ((32, 6), (3, 3), (0, 0)), constant_values=255)
    return cv2.putText(cell, title, (6, 23), cv2.FONT_HERSHEY_SIMPLEX, 0.65, (20, 20, 20), 1, cv2.LINE_AA)
