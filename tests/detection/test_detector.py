"""Detectors of ultralytics."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from hqsam_cli.configs import DetectorConfig
from hqsam_cli.detection.detector import Detector, _class_indices
from hqsam_cli.detection.files import EMBEDDED_PATH
from hqsam_cli.detection.yolo import read_detector, ultralytics, write_detector
from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.evaluation.prompts import tight_box
from hqsam_cli.formats.coco import make_detection
from hqsam_cli.io.images import read_image
from hqsam_cli.io.masks import read_mask
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.prompts.fit import fit_prompts
from hqsam_cli.records import ImagePrompts, RawPrompt
from tests.detection.conftest import SaveDetector

CPU = torch.device("cpu")
SAMPLES = Path(__file__).parents[2] / "sample_data" / "DIS5K" / "DIS-VD"


@pytest.mark.parametrize("name", ["yolov8n", "yolo11n-seg", "yolo12n", "yolo26n", "yolov8s-world", "rtdetr-resnet50"])
def test_boxes_equal_those_of_ultralytics(saved_detector: SaveDetector, photos: list[np.ndarray], name: str) -> None:
    path = saved_detector(name)
    detector = Detector(path, DetectorConfig(score_threshold=0.0, max_det=20, imgsz=160), CPU)
    model = ultralytics().YOLO(str(path))
    theirs = model.predict([photo[..., ::-1] for photo in photos], conf=0.0, max_det=20, imgsz=160, verbose=False)
    for ours, result, photo in zip(detector.detect(photos), theirs, photos, strict=True):
        kept = [box for box in result.boxes if (box.xywh[0, 2:] > 0.01).all()]
        assert len(ours) == len(kept) > 0
        height, width = photo.shape[:2]
        corners = np.clip([box.xyxy[0].tolist() for box in kept], 0, [width, height, width, height])
        assert np.allclose(np.array([p.box for p in ours]), corners, atol=0.02)
        assert np.allclose(np.array([p.score for p in ours]), [box.conf.item() for box in kept], atol=1e-6)
        assert [p.category_id for p in ours] == [int(box.cls) + 1 for box in kept]
    assert len(detector.categories) == 80
    assert detector.categories[0]["id"] == 1


def test_user_settings_override_the_defaults_of_a_file(
    object_detector: Path, photos: list[np.ndarray], tmp_path: Path
) -> None:
    def count(**settings: float) -> int:
        return len(Detector(path, DetectorConfig(**settings), CPU).detect(photos[:1])[0])  # type: ignore[arg-type]

    path, model = tmp_path / "own.safetensors", read_detector(object_detector).model
    write_detector(path, model, "yolo11n", imgsz=320, conf=0.0, iou=1.0)
    assert count() == 300
    assert count(score_threshold=1.0) == 0
    assert 0 < count(iou=0.0) < 300
    write_detector(path, model, "yolo11n", imgsz=320, conf=1.0, iou=1.0)
    assert count() == 0


def test_the_number_of_threads_is_kept(object_detector: Path, photos: list[np.ndarray]) -> None:
    before = torch.get_num_threads()
    wanted = (os.cpu_count() or 1) + 2  # which neither ultralytics nor torch would choose
    torch.set_num_threads(wanted)
    try:
        Detector(object_detector, DetectorConfig(score_threshold=0.001), CPU).detect(photos[:1])
        assert torch.get_num_threads() == wanted
    finally:
        torch.set_num_threads(before)


def test_boxes_are_equal_after_a_round_trip_through_a_file(object_detector: Path, photos: list[np.ndarray]) -> None:
    detector = Detector(object_detector, DetectorConfig(score_threshold=0.001), CPU)
    for photo, found in zip(photos, detector.detect(photos), strict=True):
        assert len(found) > 50
        height, width = photo.shape[:2]
        again = []
        for prompt in found:
            record = json.loads(json.dumps(make_detection(prompt, 1, "object")))
            x, y, w, h = record["bbox"]
            again.append(
                RawPrompt(record["id"], record["category_id"], box=(x, y, x + w, y + h), score=record["score"])
            )
        assert fit_prompts(ImagePrompts("a.jpg", 1, None, again), width, height)[0] == found


def test_classes_are_filtered_ignoring_case(saved_detector: SaveDetector, photos: list[np.ndarray]) -> None:
    path = saved_detector("yolov8n")
    settings = DetectorConfig(score_threshold=0.0, classes=("Dog", "person"), imgsz=160)
    found = Detector(path, settings, CPU).detect(photos)
    assert {prompt.category_id for own in found for prompt in own} <= {1, 17}
    assert all(found)


def test_boxes_of_chosen_classes_have_their_categories(saved_detector: SaveDetector, photos: list[np.ndarray]) -> None:
    path, settings = saved_detector("yolov8n"), DetectorConfig(score_threshold=0.0, imgsz=160)
    ids = sorted({prompt.category_id for own in Detector(path, settings, CPU).detect(photos) for prompt in own})[-2:]
    detector = Detector(path, replace(settings, classes=tuple(str(n - 1) for n in ids)), CPU)
    assert [category["id"] for category in detector.categories] == ids and ids[0] > 2
    assert {prompt.category_id for own in detector.detect(photos) for prompt in own} == set(ids)


def test_similar_classes_are_suggested_for_an_unknown_one(saved_detector: SaveDetector) -> None:
    path = saved_detector("yolov8n")
    with pytest.raises(UsageError, match=r"`classes` persn: yolov8n\.pt has no such class; did you mean: person"):
        Detector(path, DetectorConfig(classes=("persn",)), CPU)
    with pytest.raises(UsageError, match=r"it has: person, thing 1, .*…"):
        Detector(path, DetectorConfig(classes=("qqq",)), CPU)


def test_other_files_are_rejected(saved_detector: SaveDetector, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="task classify"):
        Detector(saved_detector("yolo11n-cls"), DetectorConfig(), CPU)
    torch.save({"weight": torch.zeros(3)}, tmp_path / "tensors.pt")
    (tmp_path / "cut.pt").write_bytes(b"PK\3\4 and no more")
    for name in ("tensors.pt", "cut.pt"):
        with pytest.raises(HqsamError, match=f"{name}: ultralytics cannot load it"):
            Detector(tmp_path / name, DetectorConfig(), CPU)


def test_half_needs_a_gpu(object_detector: Path) -> None:
    with pytest.raises(UsageError, match="`half`"):
        Detector(object_detector, DetectorConfig(half=True), CPU)


def test_safetensors_are_validated(object_detector: Path, tmp_path: Path) -> None:
    assert object_detector.stat().st_size < 6e6
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(object_detector.read_bytes()[:-100])
    with pytest.raises(HqsamError, match="damaged"):
        read_detector(damaged)
    content = object_detector.read_bytes()
    other = tmp_path / "other.safetensors"
    other.write_bytes(content.replace(b"yolo11n", b"yolov8n"))
    with pytest.raises(HqsamError, match="do not match yolov8n"):
        read_detector(other)
    other.write_bytes(content.replace(b"yolo11n", b"../evil"))
    with pytest.raises(HqsamError, match="contains no detector"):
        read_detector(other)


def test_configuration_files_in_the_working_directory_are_ignored(
    object_detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "yolo11n.yaml").write_text("activation: __import__('pathlib').Path('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    read_detector(object_detector)
    assert not (tmp_path / "ran").exists()


def test_importing_ultralytics_changes_no_other_library() -> None:
    package = ultralytics()
    assert Image.open.__module__ == "PIL.Image"
    assert torch.save.__module__ == "torch.serialization"
    assert package.utils.AUTOINSTALL is False
    assert package.utils.ONLINE is False
    assert not Path(package.utils.SETTINGS.file).is_relative_to(Path.home() / ".config")
    assert Path(os.environ["YOLO_CONFIG_DIR"]) in Path(package.utils.SETTINGS.file).parents
    assert cv2.getNumThreads() > 0


@pytest.mark.parametrize("name", ["01_wheel", "04_lattice"])
def test_the_embedded_detector_is_small_and_detects_objects(name: str) -> None:
    assert EMBEDDED_PATH.stat().st_size <= 6_000_000
    image = read_image(str(SAMPLES / "im" / f"{name}.jpg"))
    (found,) = Detector(EMBEDDED_PATH, DetectorConfig(), CPU).detect([image])
    assert found and found[0].box is not None
    x0, y0, x1, y1 = (round(n) for n in found[0].box)
    left, top, right, bottom = tight_box(read_mask(SAMPLES / "gt" / f"{name}.png"))
    seen, wanted = np.zeros((2, *image.shape[:2]), bool)
    seen[y0:y1, x0:x1] = wanted[top : bottom + 1, left : right + 1] = True
    assert iou(seen, wanted) > 0.75


def test_classes_are_names_or_indices_or_lists_of_them(saved_detector: SaveDetector) -> None:
    path = saved_detector("yolov8n")
    for classes in (("person", "Dog"), ("dog,person",), ("0", "16"), ("16, 0",), (" DOG ", "0")):
        detector = Detector(path, DetectorConfig(classes=classes), CPU)
        assert detector.config.classes == ("person", "dog")
        assert detector.categories == [{"id": 1, "name": "person"}, {"id": 17, "name": "dog"}]


def test_names_with_commas_or_digits_can_be_chosen() -> None:
    names = {0: "a, b", 1: "a", 2: "b", 3: "1"}
    assert _class_indices(("a, b",), names, Path("x.pt")) == [0]
    assert _class_indices(("a,b",), names, Path("x.pt")) == [1, 2]
    assert _class_indices(("1", "2"), names, Path("x.pt")) == [2, 3]
