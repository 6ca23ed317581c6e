"""A contact sheet of results: images beside their masks.

    python -m hqsam_cli.recipes.contact_sheet OUT.png --images FOLDER RUN [--images FOLDER RUN ...]

RUN is an output folder of hqsam segment; FOLDER is where its images are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from ..configs import DEFAULT_MAX_PIXELS
from ..formats.overlay import overlay
from ..formats.picture_writer import write_picture
from ..formats.segmentation import decode_segmentation
from ..report.photos import read_photos
from ..results.stream import open_results

CELL_HEIGHT, CELL_WIDTH = 400, 560  # pixels
GAP = 12
PAPER = 250


def contact_sheet(cells: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Arrange pairs of image and overlay in a sheet, two pairs per row: uint8 RGB."""
    pairs = [np.hstack([_fitted(before), _gap(GAP // 2), _fitted(after)]) for before, after in cells]
    if len(pairs) % 2:
        pairs.append(np.full_like(pairs[0], PAPER))
    space = _gap(2 * GAP)
    rows = [np.hstack([pairs[i], space, pairs[i + 1]]) for i in range(0, len(pairs), 2)]
    return np.vstack([np.pad(row, ((GAP, GAP), (GAP, GAP), (0, 0)), constant_values=PAPER) for row in rows])


def _fitted(image: np.ndarray) -> np.ndarray:
    """Resize an image to fit a cell."""
    scale = min(CELL_HEIGHT / image.shape[0], CELL_WIDTH / image.shape[1])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    cell = _gap(CELL_WIDTH)
    y, x = (CELL_HEIGHT - size[1]) // 2, (CELL_WIDTH - size[0]) // 2
    cell[y : y + size[1], x : x + size[0]] = small
    return cell


def _gap(width: int) -> np.ndarray:
    return np.full((CELL_HEIGHT, width, 3), PAPER, np.uint8)


def _cells_of_run(images: Path, run: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    results = open_results(run)
    names = {category["id"]: category["name"] for category in results.categories}
    cells = []
    for photo in (photo for photo in read_photos(results, images) if photo.record.failure is None):
        pixels, own = photo.read(DEFAULT_MAX_PIXELS), photo.record.annotations
        masks = [decode_segmentation(a["segmentation"], *pixels.shape[1::-1]) for a in own]
        labels = [f"{names.get(a['category_id'], a['category_id'])} {a['score']:.2f}" for a in own]
        cells.append((pixels, overlay(pixels, masks, labels)))
    return cells


def main() -> None:
    """Write the contact sheet of one or more runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--images", nargs=2, type=Path, action="append", required=True, metavar=("FOLDER", "RUN"))
    arguments = parser.parse_args()
    cells = [cell for images, run in arguments.images for cell in _cells_of_run(images, run)]
    write_picture(arguments.out, contact_sheet(cells))


if __name__ == "__main__":
    main()
