"""How many of 50 damaged masks the suspicion of `hqsam report` brings among the first 200.

    python tests/bench/suspicion.py FOLDER ... [--seeds 5]

Each folder holds `images/` and `masks/` with equal stems, or `images/` and `annotations.json` of COCO. Its masks are
taken for good. Of each, the prompt is the tight box with sides moved by up to 5 % and the predicted IoU is drawn, of
damaged ones as of others: the model knows nothing of what happened later. Damages are of six kinds, in turns, on masks
drawn at random; a mask has to lose or gain a sixth of its area or more.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from hqsam_cli.data.pairs import Pair, find_pairs
from hqsam_cli.formats.segmentation import decode_segmentation
from hqsam_cli.io.images import read_image
from hqsam_cli.io.masks import read_mask
from hqsam_cli.records import MaskCrop
from hqsam_cli.report.suspicion import PARTS, join_parts, measure_masks, suspicion_parts, unusual_sizes

PLANTED, SHOWN = 50, 200
# What may be unknown: runs without boxes, photos that are gone, and models that tell nothing.
WITHOUT = {
    "all measures": (),
    "no boxes": ("box",),
    "no photos": ("edges", "gap", "straight", "foreign"),
    "neither": ("box", "edges", "gap", "straight", "foreign"),
}
SMALLEST = 400  # pixels of a mask that is damaged
LARGEST_IOU = 5 / 6  # of a damaged mask with what it was


@dataclass(frozen=True, slots=True)
class Scene:
    """A photo and its good masks, bool (H, W) each, with their categories."""

    photo: np.ndarray
    masks: list[np.ndarray]
    categories: list[str]


def scenes(folder: Path) -> list[Callable[[], Scene]]:
    """What reads the scenes of a folder; there are too many to hold them all."""
    if not (folder / "annotations.json").is_file():
        return [partial(_of_pair, folder.name, pair) for pair in find_pairs(folder).pairs]
    document = json.loads((folder / "annotations.json").read_text())
    own = defaultdict(list)
    for annotation in document["annotations"]:
        if not annotation.get("iscrowd"):
            own[annotation["image_id"]].append(annotation)
    images = [(folder / "images" / image["file_name"], own[image["id"]]) for image in document["images"]]
    return [partial(_of_coco, *image) for image in images]


def _of_pair(category: str, pair: Pair) -> Scene:
    return Scene(read_image(str(pair.image)), [read_mask(pair.mask)], [category])


def _of_coco(path: Path, annotations: list[dict[str, Any]]) -> Scene:
    photo = read_image(str(path))
    masks = [decode_segmentation(a["segmentation"], photo.shape[1], photo.shape[0]) for a in annotations]
    return Scene(photo, masks, [str(a["category_id"]) for a in annotations])


def shifted(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Moved by a tenth to a quarter of its box, both ways."""
    rows, columns = np.nonzero(mask)
    down, across = (rng.uniform(0.1, 0.25) * rng.choice([-1, 1]) * np.ptp(n) for n in (rows, columns))
    moved = cv2.warpAffine(mask.astype(np.uint8), np.array([[1, 0, across], [0, 1, down]]), mask.shape[::-1])
    return moved.astype(bool)


def eroded(mask: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
    """Thinner all around, until a third of its area is gone."""
    inside = cv2.distanceTransform(np.pad(mask.astype(np.uint8), 1), cv2.DIST_L2, 5)[1:-1, 1:-1]
    kept: np.ndarray = inside > np.quantile(inside[mask], 1 / 3)
    return kept


def filled(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Without its holes and notches: what a disc of a tenth to half of its size closes, or its convex hull."""
    if rng.random() < 0.5:
        hull = cv2.convexHull(np.argwhere(mask)[:, ::-1].astype(np.int32))
        return cv2.fillConvexPoly(np.zeros(mask.shape, np.uint8), hull, 1).astype(bool)
    reach = max(1, round(rng.uniform(0.05, 0.25) * mask.sum() ** 0.5))
    bits = np.pad(mask.astype(np.uint8), reach + 1)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    closed = cv2.morphologyEx(bits, cv2.MORPH_CLOSE, disc)[reach + 1 : -reach - 1, reach + 1 : -reach - 1]
    outlines, _ = cv2.findContours(np.ascontiguousarray(closed), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(mask.shape, np.uint8), outlines, -1, 1, cv2.FILLED).astype(bool)


def cut(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Without what lies beyond a straight line: a quarter to a half of it."""
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    along = x * np.cos(angle) + y * np.sin(angle)
    kept: np.ndarray = mask & (along > np.quantile(along[mask], rng.uniform(0.25, 0.5)))
    return kept


def wrong_object(photo: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Something else in the photo: a region of even color outside of the mask, of about its size."""
    smooth = cv2.medianBlur(photo, 5)
    found = np.zeros_like(mask)
    outside = np.argwhere(~mask)
    for tolerance in rng.permutation([2, 3, 4, 6, 8, 12]):
        row, column = outside[rng.integers(len(outside))]
        fence = np.ascontiguousarray(np.pad(mask.astype(np.uint8), 1, constant_values=1))
        near = (int(tolerance),) * 3
        flags = 4 | 2 << 8 | cv2.FLOODFILL_MASK_ONLY
        cv2.floodFill(smooth.copy(), fence, (int(column), int(row)), 0, near, near, flags)
        region = fence[1:-1, 1:-1] == 2
        if abs(np.log(max(region.sum(), 1) / mask.sum())) < abs(np.log(max(found.sum(), 1) / mask.sum())):
            found = region
    return found


Damage = Callable[[np.ndarray, np.random.Generator], np.ndarray]
DAMAGES: dict[str, Damage] = {"shifted": shifted, "eroded": eroded, "filled": filled, "cut": cut}
KINDS = ("shifted", "swapped", "eroded", "filled", "cut", "wrong object")


def damaged(kind: str, scene: Scene, index: int, other: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """The mask of a scene after the damage; None where too little came of it.

    Args:
        other: the mask of another photo, for `swapped`.
    """
    mask = scene.masks[index]
    if mask.sum() < SMALLEST:
        return None
    if kind == "swapped":
        made = cv2.resize(other.astype(np.uint8), mask.shape[::-1], interpolation=cv2.INTER_NEAREST).astype(bool)
    elif kind == "wrong object":
        others = [m for n, m in enumerate(scene.masks) if n != index and m.sum() >= SMALLEST]
        made = others[rng.integers(len(others))] if others else wrong_object(scene.photo, mask, rng)
    else:
        made = DAMAGES[kind](mask, rng)
    iou = (made & mask).sum() / max((made | mask).sum(), 1)
    return made if made.sum() >= SMALLEST / 4 and iou < LARGEST_IOU else None


def measured(scene: Scene, masks: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """The measures of masks of a scene, prompted by the boxes of the good ones."""
    height, width = scene.photo.shape[:2]
    crops = [MaskCrop(mask, 0, 0, width, height) for mask in masks]
    annotations: list[Any] = []
    for good, crop in zip(scene.masks, crops, strict=True):
        x, y, w, h = MaskCrop(good, 0, 0, width, height).tight_box()
        x0, y0, x1, y1 = np.array([x, y, x + w, y + h]) + rng.uniform(-0.05, 0.05, 4) * [w, h, w, h]
        box = [max(x0, 0), max(y0, 0), min(x1, width) - max(x0, 0), min(y1, height) - max(y0, 0)]
        iou = float(np.clip(rng.normal(0.93, 0.05), 0, 1))
        annotations.append({"segmentation": crop.rle, "prompt_box": box, "predicted_iou": iou})
    return measure_masks(annotations, crops, scene.photo)


def planted(
    readers: list[Callable[[], Scene]], counts: list[int], rng: np.random.Generator
) -> Iterator[tuple[str, int, np.ndarray]]:
    """`PLANTED` damages: the kind, the scene's number, and what is measured of its masks, one of them damaged."""
    drawn = rng.permutation(np.repeat(np.arange(len(readers)), counts)).tolist()
    other = readers[drawn.pop()]().masks[0]
    used: set[int] = set()
    for number in range(PLANTED):
        kind, made = KINDS[number % len(KINDS)], None
        while made is None:
            place = drawn.pop()
            if place in used:
                continue
            scene = readers[place]()
            index = int(rng.integers(len(scene.masks)))
            made = damaged(kind, scene, index, other, rng)
            other = scene.masks[index]
        used.add(place)
        masks = [made if n == index else mask for n, mask in enumerate(scene.masks)]
        shares = np.array([mask.mean() for mask in masks])
        yield kind, place, np.column_stack([measured(scene, masks, rng), shares, np.arange(len(masks)) == index])


def main() -> None:
    """Measure, plant, and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--seeds", type=int, default=5, help="how often, each time with other masks and damages")
    arguments = parser.parse_args()
    readers = [reader for folder in arguments.folders for reader in scenes(folder)]
    good: list[np.ndarray] = []
    categories: list[str] = []
    for reader in tqdm(readers, unit="photo"):
        scene = reader()
        values = measured(scene, scene.masks, np.random.default_rng(len(good)))
        good.append(np.column_stack([values, [mask.mean() for mask in scene.masks], np.zeros(len(values))]))
        categories += scene.categories
    counts = [len(rows) for rows in good]
    found: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in WITHOUT}
    for seed in tqdm(range(arguments.seeds), unit="seed"):
        rows, kinds = list(good), {}
        for kind, place, values in planted(readers, counts, np.random.default_rng(seed)):
            rows[place], kinds[place] = values, kind
        table = np.concatenate(rows)
        kind_of = np.array([kinds.get(place, "") for place, own in enumerate(rows) for _ in own])
        for name, unknown in WITHOUT.items():
            shown = first_shown(table[:, :-2], table[:, -2], np.array(categories), unknown)
            damaged_ones = table[:, -1] == 1
            found[name]["all"].append(float(np.sum(damaged_ones & shown)))
            for kind in KINDS:
                found[name][kind].append(float(shown[damaged_ones & (kind_of == kind)].mean()))
    report = Table(title=f"{PLANTED} damaged among {sum(counts)}; the first {SHOWN}, mean of {arguments.seeds} seeds")
    for heading in ("", f"of {PLANTED}", *KINDS):
        report.add_column(heading, justify="right")
    for name, shares in found.items():
        low, high = min(shares["all"]), max(shares["all"])
        cells = [f"{100 * np.mean(shares[kind]):.0f} %" for kind in KINDS]
        report.add_row(name, f"{np.mean(shares['all']):.1f} ({low:.0f} to {high:.0f})", *cells)
    Console(width=120).print(report)


def first_shown(values: np.ndarray, shares: np.ndarray, categories: np.ndarray, unknown: Sequence[str]) -> np.ndarray:
    """Whether each mask is among the first that the report shows, where some measures are unknown; bool (n,)."""
    known = values.copy()
    names = list(PARTS)
    known[:, names.index("size")] = unusual_sizes(shares, categories)
    known[:, [names.index(name) for name in unknown]] = np.nan
    suspicion = join_parts(suspicion_parts(known))
    shown = np.zeros(len(suspicion), bool)
    shown[np.argsort(-suspicion, kind="stable")[:SHOWN]] = True
    return shown


if __name__ == "__main__":
    main()
