"""Fit the objectness score: `python -m hqsam_cli.recipes.objectness DATA OUT`.

DATA holds one folder per dataset, with `images/` and `masks/`; OUT receives the measures of the masks found in each
scene, and `objectness.safetensors`. Scenes are photos and mosaics of them: these have several objects of all sizes, as
everyday photos do, where each photo of these datasets has one. An interrupted run is resumed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from tqdm import tqdm

from ..configs import ObjectsConfig
from ..data.pairs import Pair, read_pair
from ..inference.device import resolve_compute
from ..inference.objectness import SHAPE, measure_masks
from ..inference.objects import ObjectPredictor, distinct, to_low_res
from ..inference.predictor import Predictor
from ..io.masks import is_foreground
from ..records import Instance, MaskCrop, Prompt
from ..weights.checkpoints import load_model
from .detector import SETS, separate_objects
from .sets import evenly_spaced, find_sets

WIDTH, HEIGHT = 640, 480  # of a mosaic
SIDES = (1, 2, 3)  # photos per side of a mosaic
PHOTOS = {"ecssd": 60, "duts_tr": 60, "camo": 30, "ccp_fashion": 30, "balloon": 20}  # that are scenes themselves
# In mosaics, all candidates of a run, and more: those below its thresholds, parts and near-duplicates.
FOUND = ObjectsConfig(grid_iou=0.8, grid_stability=0.65, duplicate_iou=0.85, part_size=0.0)
WRONG, RIGHT = 0.4, 0.7  # IoU with an object up to which a mask is none, and from which it is one
APART = 0.1  # of a mask and an object, in each other: such a mask may be an object that has no ground truth
APART_WEIGHT = 0.3
L2 = 0.3  # of the weights of standardized measures
FOLDS = 5


class Rows(NamedTuple):
    """Measures (n, m), targets 0 to 1 and weights (n,) of the masks of one or more scenes."""

    measures: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class Scene(NamedTuple):
    """An image, RGB uint8 (H, W, 3), the masks of its objects, and how the masks to learn from are found.

    Attributes:
        found: finds them.
        by_truth: boxes of the objects find more.
    """

    image: np.ndarray
    objects: list[MaskCrop]
    found: ObjectsConfig
    by_truth: bool


def photo_scene(pair: Pair) -> Scene:
    """A photo, with the masks that a run has to choose from."""
    photo, gray = read_pair(pair)
    mask = is_foreground(gray).astype(np.uint8)
    return Scene(photo, separate_objects(mask) if mask.any() else [], ObjectsConfig(), by_truth=False)


def mosaic(pairs: Sequence[Pair], seed: int) -> Scene:
    """A mosaic of random photos, of (HEIGHT, WIDTH)."""
    rng = np.random.default_rng(seed)
    side = int(rng.choice(SIDES))
    image, objects = np.zeros((HEIGHT, WIDTH, 3), np.uint8), list[MaskCrop]()
    rows, columns = (np.linspace(0, length, side + 1).astype(int) for length in (HEIGHT, WIDTH))
    for n, place in enumerate(rng.choice(len(pairs), side**2, replace=False)):
        y, x = rows[n // side], columns[n % side]
        height, width = rows[n // side + 1] - y, columns[n % side + 1] - x
        photo, gray = read_pair(pairs[place])
        image[y : y + height, x : x + width] = _covering(photo, height, width)
        mask = _covering(is_foreground(gray).astype(np.uint8), height, width)
        for own in separate_objects(mask) if mask.any() else []:
            objects.append(MaskCrop(own.full(), int(x), int(y), WIDTH, HEIGHT))
    return Scene(image, objects, FOUND, by_truth=True)


def _covering(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """An image resized to cover (height, width), its center."""
    scale = max(height / image.shape[0], width / image.shape[1])
    size = max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    return resized[top : top + height, left : left + width]


def target_rows(found: Sequence[Instance], objects: Sequence[MaskCrop], measures: np.ndarray) -> Rows:
    """Rows of found masks: targets by their best IoU with an object."""
    from pycocotools import mask as coco_mask

    ours, theirs = [own.mask.rle for own in found], [own.rle for own in objects]
    shape = len(ours), len(theirs)
    iou = np.reshape(coco_mask.iou(ours, theirs, [0] * len(theirs)), shape).max(axis=1, initial=0)
    inside = np.reshape(coco_mask.iou(ours, theirs, [1] * len(theirs)), shape).max(axis=1, initial=0)
    around = np.reshape(coco_mask.iou(theirs, ours, [1] * len(ours)), shape[::-1]).max(axis=0, initial=0)
    apart = (iou < APART) & (inside < APART) & (around < APART)
    targets = np.clip((iou - WRONG) / (RIGHT - WRONG), 0, 1)
    return Rows(measures, targets, np.where(apart, APART_WEIGHT, 1.0))


def collect(data: Path, out: Path, *, mosaics: int, model: str, device: str) -> list[Rows]:
    """The rows of each scene; those in `out` are not computed again."""
    sets = find_sets(data, SETS)
    pairs = [pair for own in sets.values() for pair in own]
    scenes: dict[str, Callable[[], Scene]] = {f"{seed:04d}": partial(mosaic, pairs, seed) for seed in range(mosaics)}
    for name in PHOTOS.keys() & sets.keys():
        for pair in evenly_spaced(sets[name], PHOTOS[name]):
            scenes[f"{name}-{pair.name}"] = partial(photo_scene, pair)
    compute = resolve_compute(device, "auto")
    predictor = Predictor(
        load_model(model, compute.device, compute.dtype),
        dtype=compute.dtype,
        prompts_per_batch=compute.prompts_per_batch,
    )
    collected = list[Rows]()
    out.mkdir(parents=True, exist_ok=True)
    for name, make in tqdm(sorted(scenes.items()), desc="scenes", disable=None):
        path = out / f"{name}.npz"
        if not path.is_file():
            np.savez(path, **_found_rows(predictor, make())._asdict())
        with np.load(path) as saved:
            collected.append(Rows(**saved))
    return collected


def _found_rows(predictor: Predictor, scene: Scene) -> Rows:
    encoded = predictor.encode([scene.image])
    boxes = ObjectPredictor(predictor, scene.found, None).propose(encoded)
    if scene.by_truth:
        boxes += [(x, y, x + w, y + h) for x, y, w, h in (own.tight_box() for own in scene.objects)]
    (found,) = predictor.decode(encoded, [[Prompt(box=box) for box in boxes]])
    found = [found[n] for n in distinct([own.mask for own in found], FOUND)]
    masks = [to_low_res(own.mask, encoded.resizes[0]) for own in found]
    measures = measure_masks(encoded.features.embedding[0], masks, [own.predicted_iou for own in found])
    return target_rows(found, scene.objects, measures)


def fit(rows: Rows) -> tuple[np.ndarray, float]:
    """Weights (m,) and bias of a logistic regression, with equal priors of objects and others."""
    mean, scale = rows.measures.mean(axis=0), rows.measures.std(axis=0) + 1e-6
    x, y = torch.from_numpy((rows.measures - mean) / scale).double(), torch.from_numpy(rows.targets)
    positive, negative = torch.from_numpy(rows.weights) * y, torch.from_numpy(rows.weights) * (1 - y)
    weight, bias = torch.zeros(x.shape[1], dtype=torch.double), torch.zeros(1, dtype=torch.double)
    parameters = [weight.requires_grad_(), bias.requires_grad_()]
    optimizer = torch.optim.LBFGS(parameters, max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = x @ weight + bias
        right = (positive * torch.nn.functional.softplus(-logits)).sum() / positive.sum()
        wrong = (negative * torch.nn.functional.softplus(logits)).sum() / negative.sum()
        total: torch.Tensor = (right + wrong) / 2 + L2 / 2 * (weight**2).sum()
        total.backward()
        return total

    optimizer.step(loss)
    raw = weight.detach().numpy() / scale
    return raw.astype(np.float32), float(bias.detach()) - float(raw @ mean)


def cross_validated_auc(collected: Sequence[Rows], measures: int) -> float:
    """AUC of the first measures, on scenes that the regression was not fitted to; masks weigh as in the fit."""
    logits, rights, counts = list[np.ndarray](), list[np.ndarray](), list[np.ndarray]()
    for fold in range(FOLDS):
        weight, bias = fit(joined([own for n, own in enumerate(collected) if n % FOLDS != fold], measures))
        held_back = joined(collected[fold::FOLDS], measures)
        logits.append(held_back.measures @ weight + bias)
        rights.append(held_back.targets >= 0.5)
        counts.append(held_back.weights)
    order = np.argsort(np.concatenate(logits))
    right, count = np.concatenate(rights)[order], np.concatenate(counts)[order]
    below = np.cumsum(count * ~right)
    return float((below * count)[right].sum() / (count[right].sum() * below[-1]))


def joined(collected: Sequence[Rows], measures: int) -> Rows:
    """The rows of several scenes, with the first measures."""
    together = Rows(*(np.concatenate(parts) for parts in zip(*collected, strict=True)))
    return together._replace(measures=together.measures[:, :measures])


def main() -> None:
    """Collect the measures, fit with and without the embedding, and print the cross-validated AUC of each."""
    from safetensors.numpy import save_file

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--mosaics", type=int, default=110)
    parser.add_argument("--model", default="lite")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    collected = collect(
        options.data, options.out / "rows", mosaics=options.mosaics, model=options.model, device=options.device
    )
    tensors = dict[str, np.ndarray]()
    for name, measures in {"embedding": collected[0].measures.shape[1], "shape": len(SHAPE)}.items():
        weight, bias = fit(joined(collected, measures))
        tensors |= {f"{name}.weight": weight, f"{name}.bias": np.array([bias], np.float32)}
        print(f"{name}: AUC {cross_validated_auc(collected, measures):.3f}")
    save_file(tensors, options.out / "objectness.safetensors")


if __name__ == "__main__":
    main()
