"""Synthetic scenes of thin objects with exact masks: spokes, strings, ferns, lattices, hair.

Real images with pixel-exact masks of parts one to four pixels wide hardly exist. Shapes are rendered at three times
the resolution; a pixel belongs to an object if more than half of it is covered.

    python -m hqsam_cli.recipes.scenes OUT --count 400 [--photos FOLDER]

writes OUT/images and OUT/masks, one object mask per image, over synthetic backgrounds or real images.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..io.images import read_image

SUPERSAMPLING = 3


@dataclass(frozen=True, slots=True)
class Scene:
    """An image, uint8 RGB (H, W, 3), the visible masks of n objects, bool (n, H, W), and their names."""

    image: np.ndarray
    masks: np.ndarray
    names: list[str]


class _Pen:
    """Renders the coverage of an object; coordinates and widths in image pixels."""

    def __init__(self, height: int, width: int) -> None:
        self.canvas = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)

    def line(self, points: np.ndarray, width: float) -> None:
        """Draw a polyline through (n, 2) points."""
        path = np.round(points * SUPERSAMPLING).astype(np.int32)
        cv2.polylines(self.canvas, [path], False, 255, max(1, round(width * SUPERSAMPLING)), cv2.LINE_8)

    def area(self, points: np.ndarray) -> None:
        """Fill a polygon."""
        cv2.fillPoly(self.canvas, [np.round(points * SUPERSAMPLING).astype(np.int32)], 255)

    def coverage(self) -> np.ndarray:
        """Covered fraction of each pixel, float32 (H, W)."""
        height, width = (side // SUPERSAMPLING for side in self.canvas.shape)
        return cv2.resize(self.canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _circle(center: np.ndarray, radius: float, squash: float = 1.0, count: int = 90) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, count + 1)
    return center + np.stack([np.cos(angle) * squash, np.sin(angle)], 1) * radius


def _curve(rng: np.random.Generator, start: np.ndarray, heading: float, length: float, bend: float) -> np.ndarray:
    """Path with random changes of direction: (20, 2)."""
    headings = heading + np.cumsum(rng.normal(0, bend, 19)) + np.linspace(0, rng.normal(0, 3 * bend), 19)
    steps = np.stack([np.cos(headings), np.sin(headings)], 1) * length / 19
    return np.vstack([start, start + np.cumsum(steps, 0)])


def _blob_outline(rng: np.random.Generator, center: np.ndarray, size: float, roughness: float = 0.18) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
    radius = np.ones_like(angle)
    for k in range(2, 7):
        radius += roughness / k * rng.normal() * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    return center + np.stack([np.cos(angle), np.sin(angle)], 1) * (radius * size)[:, None]


def _wheel(rng: np.random.Generator, pen: _Pen, center: np.ndarray, size: float, thin: float) -> None:
    squash = rng.uniform(0.6, 1.0)
    pen.line(_circle(center, size, squash), max(2.5, size * 0.07))
    pen.area(_circle(center, size * 0.09, squash))
    turn = rng.uniform(0, np.pi)
    for angle in np.linspace(0, 2 * np.pi, int(rng.integers(12, 29)), endpoint=False) + turn:
        rim = center + np.array([np.cos(angle) * squash, np.sin(angle)]) * size
        hub = center + np.array([np.cos(angle + 0.9) * squash, np.sin(angle + 0.9)]) * size * 0.08
        pen.line(np.stack([hub, rim]), thin)


def _kite(rng: np.random.Generator, pen: _Pen, center: np.ndarray, size: float, thin: float) -> None:
    turn = rng.uniform(-0.6, 0.6)
    rotate = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    top = center - np.array([0, 0.45 * size])
    corners = np.array([[0, -0.5], [0.33, -0.1], [0, 0.5], [-0.33, -0.1]]) * size @ rotate + top
    pen.area(corners)
    tail = _curve(rng, corners[2], np.pi / 2 + turn, 1.6 * size, 0.22)
    pen.line(tail, thin)
    for knot in tail[5::4]:
        side = np.array([0.07, 0.03]) * size
        pen.area(np.stack([knot, knot + side, knot + side * (1, -1), knot, knot - side, knot - side * (1, -1)]))
    pen.line(_curve(rng, corners[0], np.pi / 2 + rng.uniform(-0.4, 0.4), 2.0 * size, 0.05), thin)


def _fern(rng: np.random.Generator, pen: _Pen, center: np.ndarray, size: float, thin: float) -> None:
    heading = -np.pi / 2 + rng.uniform(-0.5, 0.5)
    stem = _curve(rng, center + np.array([0, size]), heading, 2 * size, 0.05)
    pen.line(stem, thin * 1.6)
    for i in range(2, 19):
        for side in (-1, 1):
            reach = 0.75 * size * (1 - i / 21)
            frond = _curve(rng, stem[i], heading + side * 1.0, reach, 0.05)
            pen.line(frond, thin)
            for j in range(3, 19, 3):
                for leaf in (-0.9, 0.9):
                    pen.line(_curve(rng, frond[j], heading + side * 1.0 + leaf, reach * 0.22, 0.03), thin)


def _lattice(rng: np.random.Generator, pen: _Pen, center: np.ndarray, size: float, thin: float) -> None:
    turn, aspect = rng.uniform(-0.5, 0.5), rng.uniform(0.6, 1.0)
    rotate = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    corners = np.array([[-1, -aspect], [1, -aspect], [1, aspect], [-1, aspect], [-1, -aspect]]) * size
    pen.line(corners @ rotate + center, 2.2 * thin)
    for share in np.linspace(-1, 1, int(rng.integers(7, 15)))[1:-1]:
        pen.line(np.array([[share, -aspect], [share, aspect]]) * size @ rotate + center, thin)
        pen.line(np.array([[-1, share * aspect], [1, share * aspect]]) * size @ rotate + center, thin)


def _tuft(rng: np.random.Generator, pen: _Pen, center: np.ndarray, size: float, thin: float) -> None:
    outline = _blob_outline(rng, center, 0.6 * size)
    pen.area(outline)
    for root in outline[:: int(rng.integers(1, 3))]:
        away = np.arctan2(*(root - center)[::-1]) + rng.normal(0, 0.35)
        pen.line(_curve(rng, root, away, rng.uniform(0.15, 0.5) * size, 0.06), thin * 0.8)


def _weed(rng: np.random.Generator, pen: _Pen, center: np.ndarray, size: float, thin: float) -> None:
    for _ in range(int(rng.integers(4, 9))):
        base = center + np.array([rng.normal(0, 0.12) * size, size])
        stem = _curve(rng, base, -np.pi / 2 + rng.normal(0, 0.35), rng.uniform(1.2, 2.0) * size, 0.07)
        pen.line(stem, thin)
        for knot in stem[6::4]:
            leaf = _curve(rng, knot, rng.uniform(-np.pi, 0), 0.3 * size, 0.08)
            pen.area(np.vstack([leaf, leaf[::-1] + np.array([0.05, 0.05]) * size]))


def _blob(rng: np.random.Generator, pen: _Pen, center: np.ndarray, size: float, _thin: float) -> None:
    pen.area(_blob_outline(rng, center, 0.8 * size, 0.3))


Drawer = Callable[[np.random.Generator, _Pen, np.ndarray, float, float], None]
OBJECTS: dict[str, Drawer] = {
    "wheel": _wheel,
    "kite": _kite,
    "fern": _fern,
    "lattice": _lattice,
    "tuft": _tuft,
    "weed": _weed,
    "blob": _blob,
}


def render_scene(
    rng: np.random.Generator,
    height: int,
    width: int,
    *,
    objects: int,
    background: np.ndarray | None = None,
    kinds: list[str] | None = None,
) -> Scene:
    """Render a scene with a number of objects, later ones in front.

    Args:
        background: uint8 (height, width, 3), or None for a synthetic one.
        kinds: names of `OBJECTS` to sample from; default: all.
    """
    image = _texture(rng, height, width, busy=True) if background is None else background.astype(np.float32)
    masks: list[np.ndarray] = []
    names = [str(rng.choice(kinds or list(OBJECTS))) for _ in range(objects)]
    for name in names:
        pen = _Pen(height, width)
        size = min(height, width) * rng.uniform(0.16, 0.34) * (1.25 if objects == 1 else 1.0)
        center = np.array([rng.uniform(0.2, 0.8) * width, rng.uniform(0.25, 0.75) * height])
        OBJECTS[name](rng, pen, center, size, rng.uniform(1.0, 3.2) * max(height, width) / 768)
        coverage = pen.coverage()
        paint = _texture(rng, height, width, busy=False)
        if abs(float((paint - image)[coverage > 0.5].mean() if (coverage > 0.5).any() else 99)) < 25:
            paint = 255 - paint  # ensure contrast
        image = image + (paint - image) * coverage[..., None]
        seen = coverage > 0.5
        masks = [mask & ~seen for mask in masks] + [seen]
    image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 0.7))
    image = image + rng.normal(0, rng.uniform(1.0, 4.0), image.shape)
    return Scene(np.clip(image, 0, 255).astype(np.uint8), np.stack(masks), names)


def _texture(rng: np.random.Generator, height: int, width: int, *, busy: bool) -> np.ndarray:
    """Color gradient with multi-scale noise, float32 (height, width, 3)."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    slope = rng.normal(0, 1, 2)
    ramp = (x / width - 0.5) * slope[0] + (y / height - 0.5) * slope[1]
    hsv = np.array([[[rng.uniform(0, 180), rng.uniform(20, 150), rng.uniform(50, 235)]]]).astype(np.uint8)
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0] + ramp[..., None] * rng.normal(0, 25, 3)
    for cells in (3, 9, 30, 90, 200) if busy else (4, 25, 90):
        light, tint = rng.normal(0, 1, (cells, cells, 1)), rng.normal(0, 0.25, (cells, cells, 3))
        noise = cv2.resize((light + tint).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        image += noise * rng.uniform(3, 15 if busy else 9)
    clipped: np.ndarray = np.clip(image, 0, 255).astype(np.float32)
    return clipped


def main() -> None:
    """Write single-object training pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--size", type=int, default=640)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--photos", type=Path, help="folder of .jpg to take half of the backgrounds from")
    arguments = parser.parse_args()
    photos = sorted(arguments.photos.glob("*.jpg")) if arguments.photos else []
    for folder in ("images", "masks"):
        (arguments.out / folder).mkdir(parents=True, exist_ok=True)
    for number in range(arguments.count):
        rng = np.random.default_rng((arguments.seed, number))
        background = None
        if photos and rng.random() < 0.6:
            photo = read_image(str(photos[rng.integers(len(photos))]))
            background = cv2.resize(photo, (arguments.size, arguments.size))
        scene = render_scene(
            rng, arguments.size, arguments.size, objects=int(rng.integers(1, 4)), background=background
        )
        chosen = int(
            np.argmax(
                [mask.sum() * (0.2 if n == "blob" else 1) for mask, n in zip(scene.masks, scene.names, strict=True)]
            )
        )
        name = f"{number:05d}"
        cv2.imwrite(
            str(arguments.out / "images" / f"{name}.jpg"), scene.image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95]
        )
        cv2.imwrite(str(arguments.out / "masks" / f"{name}.png"), scene.masks[chosen].astype(np.uint8) * 255)


if __name__ == "__main__":
    main()
