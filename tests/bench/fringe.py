"""Colors of half-transparent pixels of cut-outs: `python tests/bench/fringe.py ALPHA... --over PHOTO PHOTO`.

ALPHA are folders of 8-bit PNG, with photos of equal stems in `images/` beside them. The color of an object is that of
the photo where it is opaque, and of the nearest opaque pixel elsewhere. It is composited over each PHOTO by its alpha.
Errors are mean absolute differences of the composite, and of `foreground` of it, from the color of the object, 0 to
255, over the half-transparent pixels: plain, and weighted by alpha, which is what is seen on another background.
`--picture FILE` draws a row per matte: the composite, and the cut-out with either color on white.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from hqsam_cli.formats.cutouts import foreground, on_color
from hqsam_cli.io.images import read_image

WHITE, SIDE = (255, 255, 255), 400  # pixels of a cell of the picture
MOST = 2**26


def main() -> None:
    """Print the errors, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--over", type=Path, nargs=2, required=True)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    errors, rows = [], []
    for path in (path for folder in arguments.folders for path in sorted(folder.glob("*.png"))):
        photo = read_image(str(path.parents[1] / "images" / f"{path.stem}.jpg"), max_pixels=MOST)
        alpha = read_image(str(path), max_pixels=MOST)[..., 0]
        mixed = (alpha > 0) & (alpha < 255)
        own = of_nearest_opaque(photo, alpha)
        share = alpha[..., None] / 255
        for other in arguments.over:
            behind = cv2.resize(read_image(str(other), max_pixels=MOST), alpha.shape[::-1])
            composite = np.rint(share * own + (1 - share) * behind).astype(np.uint8)
            colors = composite, foreground(composite, alpha)
            off = [np.abs(found.astype(float) - own) for found in colors]
            errors.append([[value[mixed].mean(), (value * share)[mixed].mean()] for value in off])
        rows.append(np.hstack([fitted(image) for image in (composite, *(on_color(c, alpha, WHITE) for c in colors))]))
    for name, (plain, weighted) in zip(("of the photo", "estimated"), np.mean(errors, axis=0), strict=True):
        print(f"{name:>14}: {plain:6.2f}, weighted by alpha {weighted:6.2f} ({len(errors)} composites)")
    if arguments.picture:
        cv2.imwrite(str(arguments.picture), np.vstack(rows)[..., ::-1])


def of_nearest_opaque(photo: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """The photo, uint8 RGB (H, W, 3), with the color of the nearest opaque pixel in each."""
    clear = (alpha < 255).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(clear, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    known = clear == 0
    colors = np.zeros((labels.max() + 1, 3), np.uint8)
    colors[labels[known]] = photo[known]
    return np.asarray(colors[labels])


def fitted(image: np.ndarray) -> np.ndarray:
    """A picture, uint8 RGB, in a square."""
    scale = SIDE / max(image.shape[:2])
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.pad(small, ((0, SIDE - small.shape[0]), (0, SIDE - small.shape[1]), (0, 0)), constant_values=255)


if __name__ == "__main__":
    main()
