"""Objects by example with the features of a segmentation model: `python tests/bench/like.py SET [--photos 40]`.

A set is a folder with `images/` and `annotations.json` (COCO). Candidates are the masks that `hqsam segment` finds
without prompts; their score is the cosine of their feature to that of an example, each the mean of a feature map over
the mask: `embedding` of the image encoder, `hq`, the HQ features, and `both`; centered ones have the mean of all photos
subtracted.

`classes` are those of at least 4 photos: the example is a random object of the class of more than 32 × 32 pixels, and
the objects to find are all of the class in the other photos. `frames` are two crops of a photo, the second scaled by
0.8: the example is an object of the first, and is to be found in the second, as in two frames of a video. A candidate
is right where it has an IoU of 0.5 with an object to find, each of which counts once. Printed is the recall at the
largest number of candidates of which half are right, and the average precision, as means over the examples; and the
recall of all candidates, the most that any score can reach.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pycocotools.coco import COCO
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from hqsam_cli.configs import DetectorConfig, ObjectsConfig
from hqsam_cli.detection.detector import Detector
from hqsam_cli.detection.files import EMBEDDED_PATH
from hqsam_cli.inference.device import resolve_compute
from hqsam_cli.inference.objects import ObjectPredictor
from hqsam_cli.inference.predictor import EncodedImages, Predictor
from hqsam_cli.io.images import read_image
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.weights.checkpoints import load_model

LEAST_PHOTOS, LEAST_AREA, FOUND, HALF = 4, 32**2, 0.5, 0.5
EXAMPLES = 3  # of a class
FEATURES = [f"{name}{centered}" for name in ("embedding", "hq", "both") for centered in ("", ", centered")]
Objects = list[tuple[int, np.ndarray]]  # class, or object of a photo, and mask


class Encoder(Predictor):
    """A predictor that keeps the last features."""

    kept: EncodedImages

    def encode(self, *given: Any, **more: Any) -> EncodedImages:
        """See `Predictor`."""
        self.kept = super().encode(*given, **more)
        return self.kept


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo: the classes and features of its objects, the features of its candidates, and means of the feature maps.

    Attributes:
        overlaps: IoU of each candidate with each object.
    """

    classes: list[int]
    areas: list[int]
    object_features: list[dict[str, np.ndarray]]
    candidate_features: list[dict[str, np.ndarray]]
    overlaps: list[list[float]]
    means: dict[str, np.ndarray]


def pooled(maps: dict[str, np.ndarray], mask: np.ndarray, scale: float) -> dict[str, np.ndarray]:
    """The mean of each feature map (C, h, w) over a mask; `scale` is that of the mask to the model's input."""
    found = {}
    for name, values in maps.items():
        side = values.shape[-1]
        height, width = (max(1, round(n * scale * side / 1024)) for n in mask.shape)
        weights = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA)
        total = weights.sum() or 1.0
        found[name] = (values[:, :height, :width] * weights).sum(axis=(1, 2)) / total
    return found


def look(image: np.ndarray, objects: Objects, predictor: Encoder, detector: Detector) -> Photo:
    """Find candidates in an image, and pool features of all masks."""
    (instances,) = ObjectPredictor(predictor, ObjectsConfig(), None, detector.detect).generate([image])
    features = predictor.kept.features
    assert features.hq is not None
    maps = {"embedding": features.embedding[0].float().numpy(), "hq": features.hq[0].float().numpy()}
    scale = 1024 / max(image.shape[:2])
    masks = [instance.mask.full() for instance in instances]
    return Photo(
        [number for number, _ in objects],
        [int(mask.sum()) for _, mask in objects],
        [pooled(maps, mask, scale) for _, mask in objects],
        [pooled(maps, mask, scale) for mask in masks],
        [[iou(mask, truth) for _, truth in objects] for mask in masks],
        pooled(maps, np.ones(image.shape[:2], bool), scale),
    )


def vector(feature: dict[str, np.ndarray], name: str, means: dict[str, np.ndarray]) -> np.ndarray:
    """The unit vector by which masks are compared."""
    kind, _, centered = name.partition(",")
    parts = ["embedding", "hq"] if kind == "both" else [kind]
    vectors = [feature[part] - means[part] if centered else feature[part] for part in parts]
    whole = np.concatenate([own / (np.linalg.norm(own) or 1) for own in vectors])
    return np.asarray(whole / (np.linalg.norm(whole) or 1))


def search(
    example: dict[str, np.ndarray], photos: Sequence[Photo], wanted: Sequence[int], name: str, means: dict[str, Any]
) -> tuple[float, float, float] | None:
    """Recall at half precision, average precision, and recall of all candidates, for the n-th class of each photo."""
    reference, scored, total, reached = vector(example, name, means), list[tuple[float, int, list[float]]](), 0, 0
    for n, (photo, own) in enumerate(zip(photos, wanted, strict=True)):
        columns = [k for k, number in enumerate(photo.classes) if number == own]
        overlaps = [[row[k] for k in columns] for row in photo.overlaps]
        total += len(columns)
        reached += sum(any(row[k] >= FOUND for row in photo.overlaps) for k in columns)
        scores = [float(reference @ vector(feature, name, means)) for feature in photo.candidate_features]
        scored += zip(scores, [n] * len(scores), overlaps, strict=True)
    if not total:
        return None
    taken: set[tuple[int, int]] = set()
    right, at_half, precision_sum = 0, 0, 0.0
    for rank, (_, n, overlaps_of) in enumerate(sorted(scored, key=lambda own: -own[0]), 1):
        free = [(value, k) for k, value in enumerate(overlaps_of) if value >= FOUND and (n, k) not in taken]
        if free:
            taken.add((n, max(free)[1]))
            right += 1
            precision_sum += right / rank
        if right >= HALF * rank:
            at_half = right
    return at_half / total, precision_sum / total, reached / total


def of_classes(coco: COCO, folder: Path, count: int, looked: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the examples of classes: feature, other photos, and the class."""
    chosen = random.Random(0).sample(sorted(coco.imgs), count)
    photos = []
    for image_id in tqdm(chosen, desc="photos", disable=None):
        annotations = [a for a in coco.imgToAnns[image_id] if not a.get("iscrowd")]
        objects = [(a["category_id"], coco.annToMask(a).astype(bool)) for a in annotations]
        photos.append(looked(read_image(str(folder / coco.imgs[image_id]["file_name"])), objects))
    where: dict[int, set[int]] = defaultdict(set)
    for n, photo in enumerate(photos):
        for category in photo.classes:
            where[category].add(n)
    for category, found in sorted(where.items()):
        large = [
            (n, k)
            for n in sorted(found)
            for k, (own, area) in enumerate(zip(photos[n].classes, photos[n].areas, strict=True))
            if own == category and area >= LEAST_AREA
        ]
        if len(found) >= LEAST_PHOTOS and large:
            for n, k in random.Random(category).sample(large, min(EXAMPLES, len(large))):
                others = photos[:n] + photos[n + 1 :]
                yield category, photos[n].object_features[k], others, [category] * len(others), photos


def of_frames(coco: COCO, folder: Path, count: int, looked: Any) -> Iterator[tuple[Any, ...]]:
    """Yield the examples of pairs of crops: feature, the second crop, and the object."""
    for image_id in tqdm(random.Random(1).sample(sorted(coco.imgs), count), desc="frames", disable=None):
        image = read_image(str(folder / coco.imgs[image_id]["file_name"]))
        whole = [coco.annToMask(a).astype(bool) for a in coco.imgToAnns[image_id] if not a.get("iscrowd")]
        height, width = (n * 85 // 100 for n in image.shape[:2])
        first, second = np.s_[:height, :width], np.s_[-height:, -width:]
        small = (width * 8 // 10, height * 8 // 10)
        shown = [n for n, mask in enumerate(whole) if min(mask[first].sum(), mask[second].sum()) >= LEAST_AREA]
        if not shown:
            continue
        smaller = [cv2.resize(whole[n][second].astype(np.uint8), small, interpolation=cv2.INTER_NEAREST) for n in shown]
        one = looked(image[first], [(n, whole[n][first]) for n in shown])
        moved = cv2.resize(np.ascontiguousarray(image[second]), small, interpolation=cv2.INTER_AREA)
        two = looked(moved, [(n, mask.astype(bool)) for n, mask in zip(shown, smaller, strict=True)])
        for k, n in enumerate(shown):
            yield (image_id, n), one.object_features[k], [two], [n], [one, two]


def main() -> None:
    """Print a table of classes and one of frames."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--photos", type=int, default=40)
    parser.add_argument("--frames", type=int, default=15)
    arguments = parser.parse_args()
    compute = resolve_compute("cpu", "float32")
    predictor = Encoder(load_model(arguments.model, compute.device, compute.dtype), prompts_per_batch=8)
    detector = Detector(EMBEDDED_PATH, DetectorConfig(), compute.device)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(arguments.set / "annotations.json"))

    def looked(image: np.ndarray, objects: Objects) -> Photo:
        return look(image, objects, predictor, detector)

    for title, examples, count in (
        ("classes", of_classes, arguments.photos),
        ("frames", of_frames, arguments.frames),
    ):
        found = list(examples(coco, arguments.set / "images", count, looked))
        table = Table(title=f"{title}: {len(found)} examples of {len({own[0] for own in found})}, {count} photos")
        for column in ("feature", "recall at 50 % precision", "AP", "recall of all candidates"):
            table.add_column(column, justify="left" if column == "feature" else "right")
        for name in FEATURES:
            groups: dict[Any, list[tuple[float, float, float]]] = defaultdict(list)
            for key, example, photos, wanted, whole in found:
                means = {part: np.mean([photo.means[part] for photo in whole], axis=0) for part in ("embedding", "hq")}
                if (scores := search(example, photos, wanted, name, means)) is not None:
                    groups[key].append(scores)
            mean = 100 * np.mean([np.mean(own, axis=0) for own in groups.values()], axis=0)
            table.add_row(name, *(f"{value:.1f}" for value in mean))
        Console().print(table)


if __name__ == "__main__":
    main()
