"""The package as people import it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

import hqsam_cli
from hqsam_cli import HqsamError, PolygonConfig, Predictor, SegmentConfig, detect_images, segment_images
from hqsam_cli.batch.check_config import check_segment
from hqsam_cli.batch.segment import mask_writers
from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.weights.registry import build_model

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def model() -> HQSam:
    torch.manual_seed(0)
    return build_model("vit_tiny", image_size=64, device="cpu").eval().requires_grad_(False)


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


def test_its_names_are_these_and_all_there() -> None:
    configs = (
        "CleanConfig CutoutConfig DetectConfig DetectorConfig EvalConfig EvalOutput EverythingConfig PolygonConfig "
        "PromptConfig SegmentConfig TrainConfig"
    )
    functions = "detect_images evaluate load_model read_image segment_images train"
    others = (
        "Evaluation HqsamError ImageError Prediction Predictor Prompt Summary TrainResult WindowPredictor __version__"
    )
    assert sorted(hqsam_cli.__all__) == sorted(f"{configs} {functions} {others}".split())
    assert all(hasattr(hqsam_cli, name) for name in hqsam_cli.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        _ = hqsam_cli.nothing


def test_importing_it_is_light_and_it_runs_as_a_module() -> None:
    code = "import sys, hqsam_cli; sys.exit(any(m in sys.modules for m in ('torch', 'cv2', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    shown = subprocess.run([sys.executable, "-m", "hqsam_cli", "--version"], capture_output=True, text=True, check=True)
    assert shown.stdout == f"hqsam {hqsam_cli.__version__}\n"


def test_the_readme_segments_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    samples = ROOT / "sample_data"
    (tmp_path / "imgs").mkdir()
    for name in ("hair.jpg", "fence.jpg"):
        (tmp_path / "imgs" / name).symlink_to(samples / "images" / name)
    (tmp_path / "imgs" / "broken.jpg").write_bytes(b"")
    (tmp_path / "dets.json").symlink_to(samples / "boxes.json")
    text = (ROOT / "README.md").read_text("utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "segment_images" in block)
    names: dict[str, Any] = {}
    exec(code, names)
    summary = names["summary"]
    assert (summary.done, summary.masks, summary.exit_code) == (2, 5, 3)
    assert len(summary.failed) == 1 and "broken.jpg" in summary.failed[0]
    assert len(list((tmp_path / "masks/masks").rglob("*.png"))) == 5
    exec(code, names)
    assert (names["summary"].done, names["summary"].already_done) == (0, 2)


def test_the_readme_segments_an_image_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").symlink_to(ROOT / "sample_data/images/hair.jpg")
    text = (ROOT / "README.md").read_text("utf-8")
    code = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "Predictor(" in block)
    names: dict[str, Any] = {}
    exec(code, names)
    result = names["result"]
    assert result.mask.shape == (1, *names["image"].shape[:2]) and result.mask.any()
    assert result.class_id.tolist() == [1] and 0 < result.confidence[0] <= 1


def test_what_cannot_be_meant_is_an_error_of_the_library(tmp_path: Path) -> None:
    with pytest.raises(HqsamError, match="tolerance"):
        segment_images(ROOT / "sample_data/images", tmp_path, SegmentConfig(polygons=PolygonConfig(tolerance=1.0)))
    with pytest.raises(HqsamError, match="no image"):
        detect_images(tmp_path, tmp_path / "dets.json")


def test_boxes_of_an_image_give_arrays(model: HQSam, image: np.ndarray) -> None:
    boxes = np.array([[5, 5, 60, 50], [20, 10, 80, 55]])
    result = Predictor(model).predict(image, boxes=boxes, scores=np.array([0.5, 1.0]), class_id=np.array([3, 4]))
    assert len(result) == 2
    assert result.mask.shape == (2, 60, 90) and result.mask.dtype == np.dtype(bool)
    assert result.xyxy.shape == (2, 4) and result.xyxy.dtype == np.dtype(np.float32)
    assert result.class_id.tolist() == [3, 4]
    for (x0, y0, x1, y1), mask in zip(result.xyxy.astype(int), result.mask, strict=True):
        inside = mask[y0:y1, x0:x1]
        assert inside.sum() == mask.sum() > 0
        assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()
    estimates = [instance.predicted_iou for instance in result.instances]
    assert result.confidence == pytest.approx(np.clip([0.5 * estimates[0], estimates[1]], 0, 1))

    annotations = result.to_coco(image_id=9)
    assert [a["image_id"] for a in annotations] == [9, 9]
    for annotation, mask in zip(annotations, result.mask, strict=True):
        assert np.array_equal(coco_mask.decode(annotation["segmentation"]), mask)


def test_images_are_rgb_or_gray_arrays(model: HQSam, image: np.ndarray) -> None:
    predictor, boxes = Predictor(model), np.array([[5, 5, 60, 50]])
    gray = predictor.predict(image[..., 0], boxes=boxes)
    assert np.array_equal(gray.mask, predictor.predict(np.stack([image[..., 0]] * 3, axis=-1), boxes=boxes).mask)
    assert gray.class_id.tolist() == [gray.to_coco()[0]["category_id"]] == [1]  # as `hqsam segment`
    path: Any = "a.jpg"
    with pytest.raises(ValueError, match=r"'a.jpg'.*read_image"):
        predictor.predict(path, boxes=boxes)
    for wrong in (image / 255, np.dstack([image, image[..., 0]])):
        with pytest.raises(ValueError, match=r"(float64|uint8) \(60, 90, .\); pass RGB uint8"):
            predictor.predict(wrong, boxes=boxes)


def test_one_format_is_a_name_or_a_tuple() -> None:
    one: Any = "png"
    for given, wanted in ((one, ("png",)), (("coco,png", "png"), ("coco", "png"))):
        checked = check_segment(SegmentConfig(format=given), ["imgs"], "out", mask_writers())
        assert checked.format == wanted


def test_what_is_given_together_is_one_prompt(model: HQSam, image: np.ndarray) -> None:
    box, inside = np.array([[5, 5, 60, 50]]), [np.array([[30, 30, 1]])]
    predictor = Predictor(model)
    both = predictor.predict(image, boxes=box, points=inside)
    assert len(both) == 1
    alone = predictor.predict(image, boxes=box)
    assert both.instances[0].predicted_iou != alone.instances[0].predicted_iou
    none = predictor.predict(image, boxes=np.zeros((0, 4)))
    assert (len(none), none.mask.shape, none.xyxy.shape) == (0, (0, 60, 90), (0, 4))
    with pytest.raises(ValueError, match="with the same length"):
        predictor.predict(image, boxes=box, points=inside * 2)
    with pytest.raises(ValueError, match=r"boxes: \(4,\); pass \(n, 4\) corners"):
        predictor.predict(image, boxes=np.array([5, 5, 40, 40]))
    with pytest.raises(ValueError, match="points: pass n arrays"):
        predictor.predict(image, points=[np.array([[5, 5]])])
    with pytest.raises(ValueError, match="pass boxes"):
        predictor.predict(image)


def test_an_evaluation_and_a_training_need_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = Path(__file__).parents[1] / "sample_data/DIS5K/DIS-VD"
    config = hqsam_cli.TrainConfig(
        epochs=1, image_size=64, batch_size=6, dtype="float32", cache=6, workers=0, device="cpu"
    )
    trained = hqsam_cli.train([folder], tmp_path / "run", config)
    assert trained.best is not None and trained.best.epoch == 1
    model = str(tmp_path / "run/hqsam.safetensors")
    assert trained.files[0] == Path(model)

    output = hqsam_cli.EvalOutput(json=tmp_path / "scores.json")
    config_of_scores = hqsam_cli.EvalConfig(
        model=(model,), limit=2, mask_output=("sam", "sum"), device="cpu", output=output
    )
    result = hqsam_cli.evaluate([str(folder)], config_of_scores)
    assert [(row.model, row.output, row.n) for row in result.rows] == [(model, "sam", 2), (model, "sum", 2)]
    written = json.loads((tmp_path / "scores.json").read_text())
    assert [row["figures"] for row in written["rows"]] == [row.figures for row in result.rows]
    assert len(written["differences"]) == len(result.differences) == 2
