"""Speed of the boundary at twelve megapixels beside the authors' iterated erosion, in pairs; part of `make bench`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from hqsam_cli.evaluation.metrics import boundary, boundary_width

HEIGHT, WIDTH, ROUNDS = 3000, 4000, 5


def eroded_boundary(mask: np.ndarray, width: int) -> np.ndarray:
    """The mask without its iterated 3 x 3 erosion on a zero-padded copy, as the authors compute it."""
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    return mask & (cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1] == 0)


def masks() -> dict[str, np.ndarray]:
    """Blobs all over, the whole frame, an object of a ninth of it, and a thin line across."""
    rng = np.random.default_rng(0)
    blobs = cv2.resize(rng.random((30, 40)).astype(np.float32), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) > 0.1
    small = np.zeros((HEIGHT, WIDTH), bool)
    small[1000:2000, 1300:2600] = True
    line = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.line(line, (10, 10), (WIDTH - 10, HEIGHT - 10), 1, 9)
    return {"blobs": blobs, "whole frame": np.ones((HEIGHT, WIDTH), bool), "object": small, "line": line > 0}


def main() -> None:
    """Print the time of both, and whether they agree."""
    width = boundary_width(HEIGHT, WIDTH)
    table = Table(title=f"boundary of {width} pixels, {WIDTH}x{HEIGHT}, medians of {ROUNDS} pairs")
    for column in ("mask", "authors' erosion, ms", "hqsam, ms", "times faster", "equal"):
        table.add_column(column, justify="right")
    for name, mask in masks().items():
        methods = (eroded_boundary, boundary)
        pairs = [[1000 * seconds_of(method, mask, width) for method in methods] for _ in range(ROUNDS)]
        equal = np.array_equal(eroded_boundary(mask, width), boundary(mask, width))
        theirs, ours = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        table.add_row(name, f"{theirs:.0f}", f"{ours:.0f}", f"{ratio:.2f}", str(equal))
    Console().print(table)


def seconds_of(method: Callable[[np.ndarray, int], np.ndarray], mask: np.ndarray, width: int) -> float:
    """How long it takes once."""
    began = time.perf_counter()
    method(mask, width)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
