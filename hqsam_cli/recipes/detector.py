"""Train the embedded detector: `python -m hqsam_cli.recipes.detector DATA OUT --val FOLDER`.

DATA holds one folder per dataset, with `images/` and `masks/`; OUT receives the resulting YOLO dataset, the ultralytics
checkpoints, and `object-nano.safetensors`, a detector with one class, `object`. Labels are the boxes of masks, plus
pseudo-labels from a model. An interrupted run is resumed; a finished one is exported and scored again.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils._pytree import tree_map

from ..configs import DetectorConfig, ObjectsConfig
from ..data.pairs import ImageMaskFolder, Pair, find_pairs, read_pair
from ..detection.detector import Detector
from ..detection.yolo import ultralytics, write_detector
from ..errors import ImageError
from ..inference.device import resolve_compute
from ..inference.objects import ObjectPredictor
from ..inference.predictor import Predictor
from ..io.masks import is_foreground
from ..records import Annotation, CocoImage, MaskCrop
from ..weights.checkpoints import load_model
from .scenes import render_scene
from .sets import evenly_spaced, find_sets

ARCHITECTURE, CLASS = "yolo11n", "object"
# Most epochs use the lower resolution, where they are cheap.
SIDES = (192, 320)
STORED_SIDE = 448  # longest side of stored images, with a margin for scale jitter
# Excludes datasets of wires, cracks and fields of weeds.
SETS = ("ecssd", "duts_tr", "camo", "ccp_fashion", "cod10k_part", "balloon", "cwfid_plants")
PHOTOS, SCENES = 1200, 200
# Pseudo-labels: higher thresholds than at inference, no object parts, no background (boxes touching three borders).
FOUND = ObjectsConfig(grid_iou=0.9, grid_stability=0.85, part_size=0.5)
BORDERS = 3
LEAST_PART, LEAST_SHARE = (0.15, 0.002)  # minimum component area, relative to the largest component and to the image
OVERLAP = 0.5  # IoU threshold of NMS
GAP = 0.02  # fraction of the longer side: closer components are one object
SCORE_SETTINGS = DetectorConfig(score_threshold=0.001, max_det=100)

Box = tuple[int, int, int, int]
Find = Callable[[np.ndarray, Sequence[MaskCrop]], list[Box]]


def separate_objects(mask: np.ndarray) -> list[MaskCrop]:
    """Large connected components of a mask, uint8 0 / 1 (H, W), after closing gaps, the largest first."""
    side = 2 * round(GAP * max(mask.shape) / 2) + 1
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8))
    _, labels = cv2.connectedComponents(closed, connectivity=8)
    areas = np.bincount(labels[mask > 0])
    least = max(LEAST_PART * areas.max(), LEAST_SHARE * mask.size)
    large = sorted(np.flatnonzero(areas >= least), key=lambda label: -areas[label])
    return [MaskCrop.whole((labels == label) & (mask > 0)) for label in large]


def write_sample(folder: Path, name: str, image: np.ndarray, boxes: list[Box]) -> None:
    """Write a resized image, RGB (H, W, 3), and its YOLO label file to `images/` and `labels/` of a folder."""
    height, width = image.shape[:2]
    scale = min(1.0, STORED_SIDE / max(height, width))
    small = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / "images" / f"{name}.jpg"), small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])
    lines = (f"0 {(x + w / 2) / width} {(y + h / 2) / height} {w / width} {h / height}\n" for x, y, w, h in boxes)
    (folder / "labels" / f"{name}.txt").write_text("".join(lines))


def likely_objects(boxes: Sequence[Sequence[float]], height: int, width: int) -> list[Box]:
    """Convert boxes x0, y0, x1, y1 to x, y, width, height, without small ones and the background."""
    whole = [tuple(round(value) for value in box) for box in boxes]
    return [
        (x0, y0, x1 - x0, y1 - y0)
        for x0, y0, x1, y1 in whole
        if (x1 - x0) * (y1 - y0) >= LEAST_SHARE * height * width
        and (x0 <= 0) + (y0 <= 0) + (x1 >= width) + (y1 >= height) < BORDERS
    ]


def without_copies(boxes: Sequence[Box]) -> list[Box]:
    """NMS of boxes x, y, width, height, in order of preference."""
    from torchvision.ops import box_convert, nms

    corners = box_convert(torch.tensor(boxes, dtype=torch.float32).reshape(len(boxes), 4), "xywh", "xyxy")
    return [boxes[n] for n in nms(corners, torch.arange(float(len(boxes)), 0, -1), OVERLAP).tolist()]


def write_set(folder: Path, pairs: Sequence[Pair], prefix: str, find: Find) -> int:
    """Write the pairs of a dataset as samples, skipping existing and unreadable ones; returns their number.

    Args:
        find: predicts pseudo-labels of an image, RGB (H, W, 3), in addition to some masks.
    """
    count = 0
    for pair in pairs:
        name = f"{prefix}-{pair.name}"
        if (folder / "labels" / f"{name}.txt").is_file():
            count += 1
            continue
        try:
            image, mask = read_pair(pair)
        except ImageError as error:
            _say(f"skipped: {error}")
            continue
        if masks := separate_objects(is_foreground(mask).astype(np.uint8)):
            boxes = [own.tight_box() for own in masks]
            write_sample(folder, name, image, without_copies([*boxes, *find(image, masks)]))
            count += 1
    return count


def write_scenes(folder: Path, count: int) -> None:
    """Write synthetic scenes as samples, with the boxes of visible objects."""
    for number in range(count):
        rng = np.random.default_rng((STORED_SIDE, number))
        scene = render_scene(rng, STORED_SIDE, STORED_SIDE, objects=int(rng.integers(1, 5)))
        seen = [mask for mask in scene.masks if mask.mean() > LEAST_SHARE]
        write_sample(folder, f"scenes-{number:04d}", scene.image, [MaskCrop.whole(mask).tight_box() for mask in seen])


def finder(name: str, device: str) -> Find:
    """Create a function that predicts pseudo-labels: objects without a mask."""
    compute = resolve_compute(device, "auto")
    model = load_model(name, compute.device, compute.dtype)
    predictor = Predictor(model, dtype=compute.dtype, prompts_per_batch=compute.prompts_per_batch)
    objects = ObjectPredictor(predictor, FOUND, None)

    def find(image: np.ndarray, masks: Sequence[MaskCrop]) -> list[Box]:
        return likely_objects(objects.propose(predictor.encode([image], hq=False), masks), *image.shape[:2])

    return find


def prepared_data(data: Path, val: Path, out: Path, *, photos: int, scenes: int, find: Callable[[], Find]) -> Path:
    """Write the YOLO dataset from the datasets below `data`, unless it exists; returns its YAML.

    Args:
        photos: number of images from all datasets, in proportion to their size.
        find: loads the model for pseudo-labels.
    """
    yaml = out / "data" / "data.yaml"
    if yaml.is_file():
        return yaml
    sets = find_sets(data, SETS)
    share = min(1.0, photos / max(sum(map(len, sets.values())), 1))
    finds = find()
    for name, pairs in sets.items():
        chosen = evenly_spaced(pairs, math.ceil(share * len(pairs)))
        count = write_set(out / "data" / "train", chosen, name, finds)
        _say(f"{name}: {count} images")
    write_scenes(out / "data" / "train", scenes)
    _say(f"validation: {write_set(out / 'data' / 'val', find_pairs(val).pairs, 'val', finds)} images")
    # JSON is valid YAML; written last to mark the dataset as complete.
    content = {"path": str(yaml.parent.resolve()), "train": "train/images", "val": "val/images", "names": {0: CLASS}}
    yaml.write_text(json.dumps(content) + "\n")
    return yaml


def trained(yaml: Path, out: Path, *, epochs: list[int], batch: int, device: str, workers: int) -> Path:
    """Train from scratch, or resume; returns the best ultralytics checkpoint.

    Args:
        epochs: for each of `SIDES`; each stage starts with the best model of the previous one.
    """
    start = f"{ARCHITECTURE}.yaml"
    for side, count in zip(SIDES, epochs, strict=True):
        start = str(_trained_at(side, start, yaml, out, epochs=count, batch=batch, device=device, workers=workers))
    return Path(start)


def _trained_at(
    side: int, start: str, yaml: Path, out: Path, *, epochs: int, batch: int, device: str, workers: int
) -> Path:
    """Train at one image size; returns the best checkpoint."""
    package = ultralytics()
    folder = out / f"yolo-{side}"
    weights, done = folder / "weights", folder / "done"
    if done.is_file():
        return weights / "best.pt"
    last = weights / "last.pt"
    yolo = package.YOLO(str(last) if last.is_file() else start)
    yolo.add_callback("on_train_start", _use_bfloat16)
    yolo.add_callback("on_fit_epoch_end", _say_epoch)
    if last.is_file():
        yolo.train(resume=True, device=device)
    else:
        yolo.train(
            data=str(yaml),
            epochs=epochs,
            batch=batch,
            nbs=batch,
            imgsz=side,
            device=device,
            workers=workers,
            project=str(out.resolve()),
            name=folder.name,
            exist_ok=True,
            pretrained=start.endswith(".pt"),
            optimizer="AdamW",
            lr0=0.002 if start.endswith(".yaml") else 0.0005,
            cos_lr=True,
            warmup_epochs=1,
            close_mosaic=max(1, epochs // 6),
            patience=epochs,
            plots=False,
            cache="ram",
            verbose=False,
            seed=0,
        )
    done.touch()
    return weights / "best.pt"


def best_threshold(best: Path, yaml: Path, *, device: str) -> float:
    """Confidence threshold with the best F1 on the validation set."""
    yolo = ultralytics().YOLO(str(best))  # reloaded, because validation fuses layers
    settings = {"imgsz": SIDES[-1], "iou": OVERLAP, "device": device, "workers": 0, "plots": False, "verbose": False}
    box = yolo.val(data=str(yaml), project=str(best.parent), name="val", exist_ok=True, **settings).box
    return round(float(box.px[box.f1_curve.mean(axis=0).argmax()]), 3)


def _use_bfloat16(trainer: Any) -> None:
    """Use channels-last and bfloat16 on a CPU, up to twice as fast; ultralytics only supports this on GPUs."""
    trainer.model.to(memory_format=torch.channels_last)
    if trainer.device.type == "cpu":
        predict = trainer.model.predict

        def autocast_predict(*arguments: Any, **options: Any) -> Any:
            with torch.autocast("cpu", torch.bfloat16):
                return tree_map(torch.Tensor.float, predict(*arguments, **options))

        trainer.model.predict = autocast_predict


def _say_epoch(trainer: Any) -> None:
    if trainer.epoch < trainer.epochs:  # also called once after the last epoch
        precision = trainer.metrics["metrics/mAP50(B)"]
        _say(f"epoch {trainer.epoch + 1} of {trainer.epochs}: AP50 {precision:.3f}, {trainer.epoch_time:.0f} s")


def average_precision(pairs: ImageMaskFolder, detect: Callable[[list[np.ndarray]], list[list[Any]]]) -> float:
    """COCO AP at IoU 0.5 of a detector's boxes against the objects of masks."""
    from faster_coco_eval import COCO, COCOeval_faster

    images: list[CocoImage] = []
    gts: list[Annotation] = []
    results: list[Annotation] = []
    for number, pair in enumerate(pairs.pairs, 1):
        image, mask = read_pair(pair)
        images.append({"id": number, "height": image.shape[0], "width": image.shape[1]})
        for box in (own.tight_box() for own in separate_objects(is_foreground(mask).astype(np.uint8))):
            gt: Annotation = {"id": len(gts) + 1, "image_id": number, "category_id": 1, "iscrowd": 0}
            gts.append({**gt, "bbox": list(box), "area": box[2] * box[3]})
        for prompt in detect([image])[0]:
            x0, y0, x1, y1 = prompt.box
            bbox = [x0, y0, x1 - x0, y1 - y0]
            results.append({"image_id": number, "category_id": 1, "score": prompt.score, "bbox": bbox})
    if not results:
        return 0.0
    index = COCO({"images": images, "annotations": gts, "categories": [{"id": 1, "name": CLASS}]})
    evaluation = COCOeval_faster(index, index.loadRes(results), iouType="bbox", print_function=lambda *_: None)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[1])


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """Prepare the data, train, export and score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--val", type=Path, required=True, help="validation folder with images/ and masks/")
    parser.add_argument("--score", type=Path, nargs="*", default=[], help="more folders to score")
    parser.add_argument("--epochs", type=int, nargs=len(SIDES), default=[70, 15], metavar="N", help=f"at {SIDES}")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--photos", type=int, default=PHOTOS)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--model", default="lite", help="for pseudo-labels")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=0)
    arguments = parser.parse_args()
    device = resolve_compute(arguments.device, "auto").device
    yaml = prepared_data(
        arguments.data,
        arguments.val,
        arguments.out,
        photos=arguments.photos,
        scenes=arguments.scenes,
        find=lambda: finder(arguments.model, arguments.device),
    )
    best = trained(
        yaml,
        arguments.out,
        epochs=arguments.epochs,
        batch=arguments.batch,
        device=str(device),
        workers=arguments.workers,
    )
    path = arguments.out / "object-nano.safetensors"
    conf = best_threshold(best, yaml, device=str(device))
    write_detector(path, ultralytics().YOLO(str(best)).model, ARCHITECTURE, imgsz=SIDES[-1], conf=conf, iou=OVERLAP)
    _say(f"wrote {path}, which asks for --score-threshold {conf}")
    detector = Detector(path, SCORE_SETTINGS, device)
    for folder in (arguments.val, *arguments.score):
        print(f"{folder}: AP50 {average_precision(find_pairs(folder), detector.detect):.3f}")


if __name__ == "__main__":
    main()
