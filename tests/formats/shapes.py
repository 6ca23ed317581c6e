"""Masks with holes, thin legs, several parts and specks, and a run that made them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from hqsam_cli.configs import DEFAULT_TOLERANCE, SegmentationKind
from hqsam_cli.formats.coco import RunRecords
from hqsam_cli.formats.image_writer import ImageWriter
from hqsam_cli.formats.outputs import MakeWriter
from hqsam_cli.formats.polygons import mask_polygons
from hqsam_cli.records import Category, Failure, ImageRecord, Instance, MaskCrop, Prompt

WIDTH, HEIGHT = 160, 120
FAILED = "failed.jpg"
CATEGORIES: list[Category] = [{"id": 4, "name": "wheel"}, {"id": 9, "name": "cat & dog"}]


def crop(bits: np.ndarray) -> MaskCrop:
    """The part of a mask where something is set."""
    x, y, w, h = MaskCrop(bits, 0, 0, *bits.shape[::-1]).tight_box()
    return MaskCrop(bits[y : y + h, x : x + w], x, y, *bits.shape[::-1])


def drawn(*, holes: bool = True) -> dict[str, MaskCrop]:
    """Masks by what is hard about them."""
    canvas = {name: np.zeros((HEIGHT, WIDTH), np.uint8) for name in ("wheel", "legs", "parts", "edges", "dot")}
    cv2.circle(canvas["wheel"], (70, 60), 45, 1, -1)
    if holes:
        cv2.circle(canvas["wheel"], (55, 60), 15, 0, -1)
        cv2.circle(canvas["wheel"], (90, 50), 9, 0, -1)
        canvas["wheel"][60, 100] = 0  # a speck
    cv2.ellipse(canvas["legs"], (80, 40), (40, 20), 10, 0, 360, 1, -1)
    cv2.line(canvas["legs"], (60, 40), (40, 110), 1, 1)
    cv2.line(canvas["legs"], (100, 40), (125, 112), 1, 2)
    for x in (20, 60, 110):
        cv2.circle(canvas["parts"], (x, 30 + x // 2), 14, 1, -1)
    canvas["parts"][2, 150] = 1
    canvas["edges"][:, :30] = canvas["edges"][90:] = 1
    canvas["dot"][50:54, 50:53] = 1
    return {name: crop(bits.astype(bool)) for name, bits in canvas.items()}


def a_run(
    folder: Path, names: tuple[str, ...] = ("a.jpg", "sub/b.png"), segmentation: SegmentationKind = "rle"
) -> RunRecords:
    """A run over photos in a folder, each with all of these masks; and an image that failed."""
    records = []
    number = 0
    for name in (*names, FAILED):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (WIDTH, HEIGHT), (90, 120, 40)).save(path)
    for image_id, name in enumerate(names, 1):
        annotations = []
        for place, mask in enumerate(drawn().values()):
            number += 1
            instance = Instance(Prompt(number, CATEGORIES[place % 2]["id"]), mask, 0.75)
            annotations.append(instance.to_coco(image_id))
            annotations[-1]["polygons"] = mask_polygons(mask, DEFAULT_TOLERANCE, ["yolo-seg"])
        records.append(ImageRecord(name, image_id, (WIDTH, HEIGHT), annotations, path=str(folder / name)))
    failure = Failure(FAILED, "the model failed")
    records.append(ImageRecord(FAILED, 99, (WIDTH, HEIGHT), failure=failure, path=str(folder / FAILED)))
    return RunRecords(lambda: records, CATEGORIES, segmentation=segmentation)


def written(make: MakeWriter, run: RunRecords, output: Path) -> Path:
    """Where a format that needs nothing but records writes those of a run."""
    writer = make(output, run.categories)
    assert not isinstance(writer, ImageWriter)
    writer.close(run)
    assert isinstance(writer.path, Path)
    return writer.path


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two masks."""
    a, b = a.astype(bool), b.astype(bool)
    return np.count_nonzero(a & b) / np.count_nonzero(a | b)
