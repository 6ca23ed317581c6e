"""Objects by example: YOLOE with random weights."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from hqsam_cli.batch.build import Models, build_step
from hqsam_cli.batch.steps import DetectAndSegment
from hqsam_cli.configs import DetectorConfig, SegmentConfig
from hqsam_cli.detection.detector import Detector
from hqsam_cli.detection.visual_prompts import Examples, check_takes_examples, set_visual_classes
from hqsam_cli.detection.yolo import ultralytics
from hqsam_cli.errors import UsageError
from hqsam_cli.inference.device import resolve_compute
from hqsam_cli.io.find import SourceImage
from hqsam_cli.records import Box, Category, Prompt
from hqsam_cli.weights.registry import PACKAGED
from tests.detection.conftest import SaveDetector

CPU = torch.device("cpu")
CATEGORIES: list[Category] = [{"id": 7, "name": "red bag"}, {"id": 3, "name": "ladder"}]
BAG, OTHER_BAG, LADDER = (20.0, 30.0, 120.0, 90.0), (200.0, 100.0, 300.0, 220.0), (150.0, 10.0, 190.0, 130.0)
Labels = list[tuple[int, Box]]


@pytest.fixture
def saved_photos(photos: list[np.ndarray], tmp_path: Path) -> list[Path]:
    """The photos as files, of 320 x 240 and 120 x 200 pixels."""
    paths = [tmp_path / f"{number}.png" for number in range(len(photos))]
    for photo, path in zip(photos, paths, strict=True):
        Image.fromarray(photo).save(path)
    return paths


def examples(*labeled: tuple[Path, Labels], categories: list[Category] = CATEGORIES) -> Examples:
    """Examples with the boxes of each photo, each with its category id."""
    found = [
        (SourceImage(str(path), path.name), [Prompt(0, number, box=box) for number, box in labels])
        for path, labels in labeled
    ]
    return Examples(found, categories, "0123456789abcdef", "apply", 10**6)


def embeddings(path: Path, given: Examples) -> Tensor:
    """The embeddings of the classes of the examples (classes, D)."""
    model: Any = ultralytics().YOLO(str(path)).model
    set_visual_classes(model, given, 320, CPU)
    assert list(model.names.values()) == [category["name"] for category in given.categories]
    pe: Tensor = model.pe[0]
    return pe


@pytest.mark.parametrize("name", ["yoloe-11s-seg", "yoloe-v8s", "yoloe-26n-seg"])
def test_boxes_equal_those_of_ultralytics_with_a_reference_image(
    saved_yoloe: SaveDetector, photos: list[np.ndarray], saved_photos: list[Path], name: str
) -> None:
    path = saved_yoloe(name)
    settings = DetectorConfig(score_threshold=0.0, max_det=20, imgsz=160)
    given = examples((saved_photos[0], [(7, BAG), (3, LADDER), (7, OTHER_BAG)]))
    detector = Detector(path, settings, CPU, examples=given)
    found = detector.detect(photos)
    theirs = ultralytics().YOLO(str(path)).predict(
        [photo[..., ::-1] for photo in photos],
        refer_image=np.ascontiguousarray(photos[0][..., ::-1]),
        visual_prompts={"bboxes": np.array([BAG, LADDER, OTHER_BAG]), "cls": np.array([0, 1, 0])},
        conf=0.0, max_det=20, imgsz=160, verbose=False,
    )  # fmt: skip
    for ours, result in zip(found, theirs, strict=True):
        kept = [box for box in result.boxes if (box.xywh[0, 2:] > 0.01).all()]
        assert [p.category_id for p in ours] == [[7, 3][int(box.cls)] for box in kept] != []
        assert np.allclose([p.score or 0 for p in ours], [box.conf.item() for box in kept], atol=1e-4)
    assert detector.categories == CATEGORIES
    assert detector.identity["like"] == given.digest


def test_a_class_is_the_mean_of_its_photos(saved_yoloe: SaveDetector, saved_photos: list[Path]) -> None:
    path, (first, second) = saved_yoloe("yoloe-11s-seg"), saved_photos
    whole: Box = (0.0, 0.0, 60.0, 100.0)
    one = embeddings(path, examples((first, [(7, BAG), (3, LADDER)])))
    two = embeddings(path, examples((second, [(7, whole)]), categories=CATEGORIES[:1]))
    both = embeddings(path, examples((first, [(3, LADDER), (7, BAG)]), (second, [(7, whole)])))
    assert torch.allclose(both[1], one[1], atol=1e-6)
    assert torch.allclose(both[0], torch.nn.functional.normalize(one[0] + two[0], dim=0), atol=1e-6)
    assert not torch.allclose(one[0], two[0], atol=1e-3)


def test_a_box_smaller_than_a_cell_is_not_the_whole_photo(saved_yoloe: SaveDetector, saved_photos: list[Path]) -> None:
    path, photo = saved_yoloe("yoloe-11s-seg"), saved_photos[0]
    small: list[Box] = [(17.0, 17.0, 20.0, 21.0), (316.5, 236.5, 320.0, 240.0)]
    one, two = (embeddings(path, examples((photo, [(7, box)]), categories=CATEGORIES[:1])) for box in small)
    assert not torch.allclose(one, two, atol=1e-3)


def test_classes_choose_among_the_examples(
    saved_yoloe: SaveDetector, photos: list[np.ndarray], saved_photos: list[Path]
) -> None:
    path, given = saved_yoloe("yoloe-11s-seg"), examples((saved_photos[0], [(7, BAG), (3, LADDER)]))
    settings = DetectorConfig(score_threshold=0.0, max_det=20, imgsz=160, classes=("Ladder",))
    found = Detector(path, settings, CPU, examples=given).detect(photos)
    assert {prompt.category_id for own in found for prompt in own} == {3}
    with pytest.raises(UsageError, match=r"no such class; it has: red bag, ladder"):
        Detector(path, DetectorConfig(classes=("apple",)), CPU, examples=given)


def test_worker_processes_are_given_the_examples(saved_yoloe: SaveDetector, saved_photos: list[Path]) -> None:
    given = examples((saved_photos[0], [(7, BAG), (3, LADDER)]))
    models = Models(PACKAGED["lite"], resolve_compute("cpu", "float32"), saved_yoloe("yoloe-11s-seg"), given)
    sent = pickle.loads(pickle.dumps(models))
    step = build_step(SegmentConfig(), sent, CATEGORIES)
    assert isinstance(step, DetectAndSegment)
    assert step.detection.detector.categories == CATEGORIES


def test_other_detectors_take_no_examples(
    saved_detector: SaveDetector, saved_photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("object", "yolo11n.pt", "yolov8x", "own.onnx", "own.safetensors"):
        with pytest.raises(UsageError, match=f"`detector` {name}: takes no examples"):
            check_takes_examples(name)
    for name in ("yoloe-26s-seg", "yoloe-11l-seg.pt", "best.pt", "runs/best.pt"):
        check_takes_examples(name)
    Path("yolo11n.pt").touch()  # a file may be anything
    check_takes_examples("yolo11n.pt")
    given = examples((saved_photos[0], [(7, BAG)]), categories=CATEGORIES[:1])
    for name in ("yolov8n", "yolov8s-world"):
        with pytest.raises(UsageError, match=rf"{name}\.pt: takes no examples .*yoloe-11l-seg\.pt$"):
            Detector(saved_detector(name), DetectorConfig(), CPU, examples=given)
