"""What is found in photos where nobody says what: `python tests/bench/found.py SET… [--ways detector grid-8 both-8]`.

A set is a folder with `images/` and `annotations.json` (COCO), or with `images/` and `masks/` of one object each. An
object counts as found where a mask has an IoU of 0.5 with it, whatever its class; large are those of more than 96 × 96
pixels. AR@10 and AR@100 are COCO's, class-agnostic, over all sizes. `detector` is the detector of this package,
`grid-N` points of N × N without it, `grid-M+N` such points after M × M where these found nothing, `both-N` such points
and the detector, without objectness, `both-N@S` what `hqsam segment --score-threshold S` does without prompts,
with such grids, `everything-N` is `--everything --points-per-side N`, and `everything-M+N` the same with
`--coarse-points-per-side M`.
`everything-N+loose` is everything mode with the thresholds that `docs/segment.md` recommends for `lite`.
`boxes-8` finds nothing: it is what a photo with eight boxes costs. `encoded` are the images, and windows of them, that
the encoder gets.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from hqsam_cli.configs import DetectorConfig, EverythingConfig, ObjectsConfig, Windows
from hqsam_cli.data.pairs import find_pairs, read_pair
from hqsam_cli.detection.detector import Detector
from hqsam_cli.detection.files import EMBEDDED, detector_file
from hqsam_cli.inference.device import Compute, resolve_compute
from hqsam_cli.inference.everything import MaskGenerator, choice_at_points
from hqsam_cli.inference.objects import ObjectPredictor
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.inference.speed import random_boxes
from hqsam_cli.io.images import read_image
from hqsam_cli.io.masks import is_foreground
from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.records import Instance
from hqsam_cli.weights.checkpoints import load_model
from hqsam_cli.weights.objectness import load_objectness

LARGE = 96**2
FOUND = 0.5  # IoU
WAYS = [
    "boxes-8",
    "detector",
    "grid-4",
    "grid-8",
    "grid-4+8",
    "grid-16",
    "both-4",
    "both-8",
    "both-4+8",
    "both-4+8@0.1",
    "everything-32",
]
LOOSE: dict[str, Any] = {"pred_iou_thresh": 0.8, "stability_score_thresh": 0.85}
Find = Callable[[np.ndarray], list[Instance]]


class Photo(NamedTuple):
    """A photo and the RLEs of its objects; of a crowd, which is no object, what lies in it does not count."""

    pixels: np.ndarray
    objects: list[dict[str, Any]]


def load_set(folder: Path, limit: int) -> list[Photo]:
    """The photos of a set."""
    if not (folder / "annotations.json").is_file():
        pairs = [read_pair(pair) for pair in find_pairs(folder).pairs[:limit]]
        return [Photo(image, [coco_mask.encode(np.asfortranarray(is_foreground(values)))]) for image, values in pairs]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(folder / "annotations.json"))
    own = defaultdict(list)
    for annotation in coco.anns.values():
        if not annotation.get("iscrowd"):
            own[annotation["image_id"]].append(coco.annToRLE(annotation))
    images = list(coco.imgs.values())[:limit]
    return [Photo(read_image(str(folder / "images" / image["file_name"])), own[image["id"]]) for image in images]


def make_way(name: str, model: HQSam, detector: Detector, compute: Compute, windows: Windows) -> Find:
    """How objects are found by that name."""
    kind, _, points = name.partition("-")
    points, _, min_score = points.partition("@")
    single = Predictor(model, dtype=compute.dtype, prompts_per_batch=compute.prompts_per_batch)
    if kind == "everything":
        *coarse, side = points.removesuffix("+loose").split("+")
        first = int(coarse[0]) if coarse else None
        loose = LOOSE if points.endswith("+loose") else {}
        config = EverythingConfig(points_per_side=int(side), coarse_points_per_side=first, **loose)
        choice = choice_at_points(model.mask_output, config)
        at_points = Predictor(model, choice=choice, dtype=compute.dtype, prompts_per_batch=compute.prompts_per_batch)
        generator = MaskGenerator(at_points, config, windows=windows)
        return lambda image: generator.generate([image])[0]
    if kind in ("grid", "both"):
        grids = ObjectsConfig(grid_points=tuple(map(int, points.split("+"))), min_score=float(min_score or 0))
        detect = None if kind == "grid" else detector.detect
        objectness = load_objectness(model) if min_score else None
        objects = ObjectPredictor(single, grids, objectness, detect, windows=windows)
        return lambda image: objects.generate([image])[0]

    def find(image: np.ndarray) -> list[Instance]:
        height, width = image.shape[:2]
        prompts = random_boxes(width, height, int(points)) if kind == "boxes" else detector.detect([image])[0]
        return single.predict_batch([image], [prompts])[0]

    return find


def recalls(photos: list[Photo], found: list[list[dict[str, Any]]]) -> list[float]:
    """COCO's AR@10 and AR@100, in percent."""
    images = [{"id": n, "height": p.pixels.shape[0], "width": p.pixels.shape[1]} for n, p in enumerate(photos)]
    flat = [(n, rle) for n, photo in enumerate(photos) for rle in photo.objects]
    annotations = [
        {
            "id": k,
            "image_id": n,
            "category_id": 1,
            "iscrowd": 0,
            "segmentation": rle,
            "area": float(coco_mask.area(rle)),
            "bbox": coco_mask.toBbox(rle).tolist(),
        }
        for k, (n, rle) in enumerate(flat, 1)
    ]
    results = [
        {"image_id": n, "category_id": 1, "segmentation": rle["rle"], "score": rle["score"]}
        for n, own in enumerate(found)
        for rle in own
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}
        gt.createIndex()
        if not results:
            return [0.0, 0.0]
        scored = COCOeval(gt, gt.loadRes(results), "segm")
        scored.params.maxDets = [1, 10, 100]
        scored.evaluate()
        scored.accumulate()
    of_ten, of_hundred = (scored.eval["recall"][:, :, 0, place] for place in (1, 2))
    return [100 * float(own[own > -1].mean()) for own in (of_ten, of_hundred)]


def found_shares(photos: list[Photo], found: list[list[dict[str, Any]]]) -> list[float]:
    """Of large objects and of all, those found; of photos, those with any; of masks, the right ones; in percent."""
    hits: list[bool] = []
    large: list[bool] = []
    anything: list[bool] = []
    right: list[bool] = []
    for photo, own in zip(photos, found, strict=True):
        masks = [one["rle"] for one in own]
        if not photo.objects:
            right += [False] * len(masks)
            continue
        shape = len(masks), len(photo.objects)
        overlap = np.reshape(coco_mask.iou(masks, photo.objects, [0] * len(photo.objects)), shape)
        own_hits = [bool((column >= FOUND).any()) for column in overlap.T]
        hits += own_hits
        large += [hit for hit, rle in zip(own_hits, photo.objects, strict=True) if coco_mask.area(rle) > LARGE]
        anything.append(any(own_hits))
        right += [bool((row >= FOUND).any()) for row in overlap]
    return [100 * float(np.mean(values or [False])) for values in (large, hits, anything, right)]


def main() -> None:
    """Print a table a set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path, nargs="+")
    parser.add_argument("--ways", nargs="+", default=WAYS)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--limit", type=int, default=100)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--windows", choices=["auto", "on", "off"], default="off")
    parser.add_argument("--json", type=Path, help="also write what was found")
    arguments = parser.parse_args()
    compute = resolve_compute(arguments.device, "auto")
    model = load_model(arguments.model, compute.device, compute.dtype)
    encoded: list[int] = []
    model.image_encoder.register_forward_hook(lambda _, images, __: encoded.append(len(images[0])))
    detector = Detector(detector_file(EMBEDDED, trusted=False), DetectorConfig(), compute.device)
    written: dict[str, Any] = {}
    for folder in arguments.sets:
        photos = load_set(folder, arguments.limit)
        table = Table(title=f"{folder.name}, {len(photos)} photos, {arguments.model}")
        for column in (
            "",
            "large",
            "all",
            "any",
            "right",
            "AR@10",
            "AR@100",
            "masks per image",
            "encoded",
            "CPU s",
            "s per image",
        ):
            table.add_column(column, justify="right" if column else "left")
        for name in arguments.ways:
            find = make_way(name, model, detector, compute, arguments.windows)
            find(photos[0].pixels[:300, :300])
            encoded.clear()
            found, seconds, busy = [], 0.0, time.process_time()
            for photo in tqdm(photos, desc=f"{folder.name}, {name}", disable=None):
                began = time.perf_counter()
                instances = find(photo.pixels)
                seconds += time.perf_counter() - began
                found.append([{"rle": i.mask.rle, "score": i.score, "iou": i.predicted_iou} for i in instances])
            table.add_row(
                name,
                *(f"{share:.1f}" for share in (*found_shares(photos, found), *recalls(photos, found))),
                f"{np.mean([len(own) for own in found]):.1f}",
                f"{sum(encoded) / len(photos):.1f}",
                f"{(time.process_time() - busy) / len(photos):.2f}",
                f"{seconds / len(photos):.2f}",
            )
            written[f"{folder.name}/{name}"] = found
        Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(written))


if __name__ == "__main__":
    main()
