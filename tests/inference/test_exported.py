"""An exported model has torch's masks, for all prompts, in batches of images and prompts."""

from __future__ import annotations

from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import numpy as np
import pytest

from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.inference.device import Compute
from hqsam_cli.inference.exported import ExportedPredictor, resolve_exported
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.io.images import read_image
from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.records import Instance, Prompt
from hqsam_cli.weights.checkpoints import load_model
from hqsam_cli.weights.exported import find_exported
from tests.conftest import SAMPLES

CPU = Compute("cpu", "float32")


@pytest.fixture(scope="module")
def model(small_lite: Path) -> HQSam:
    return load_model(small_lite)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """Scenes, and photos, in several shapes."""
    package = find_spec("ultralytics")  # importing it would patch Pillow for all tests of this process
    assert package is not None and package.origin is not None
    photos = sorted((Path(package.origin).parent / "assets").glob("*.jpg"))
    return [read_image(str(path)) for path in [*photos, SAMPLES / "images/kites.jpg", SAMPLES / "images/hair.jpg"]]


def prompts_of(image: np.ndarray) -> list[Prompt]:
    """Of each kind: boxes, points of several numbers, both, and a coarse mask with and without a box."""
    height, width = image.shape[:2]
    box = (0.1 * width, 0.2 * height, 0.7 * width, 0.8 * height)
    points = np.array([[0.5, 0.5, 1], [0.3, 0.6, 1], [0.05, 0.05, 0]]) * [width, height, 1]
    mask = np.zeros((height, width), bool)
    mask[height // 4 : height // 2, width // 4 : width // 2] = True
    kinds = [{"box": box}, {"points": points[:1]}, {"points": points}, {"box": box, "points": points}]
    kinds += [{"mask": mask, "box": box}, {"mask": mask}, {"box": (0.0, 0.0, width / 2, height / 2)}]
    return [Prompt(n, **kind) for n, kind in enumerate(kinds)]


def ious(ours: list[list[Instance]], theirs: list[list[Instance]]) -> list[float]:
    found = []
    for own, expected in zip(chain(*ours), chain(*theirs), strict=True):
        assert own.prompt is expected.prompt and own.mask_index == expected.mask_index
        assert own.predicted_iou == pytest.approx(expected.predicted_iou, abs=1e-4)
        one, other = own.mask.full(), expected.mask.full()
        union = np.count_nonzero(one | other)
        found.append(np.count_nonzero(one & other) / union if union else 1.0)
    return found


@pytest.mark.parametrize("mask_output", ["auto", "sum", "hq", "sam"])
@pytest.mark.parametrize("choice", ["single", "all"])
def test_masks_of_all_prompts_equal_torchs(
    exported: Path, model: HQSam, images: list[np.ndarray], mask_output: str, choice: str
) -> None:
    description = find_exported(str(exported))
    assert description is not None
    options = {"mask_output": mask_output, "choice": choice, "prompts_per_batch": 10}
    ours = ExportedPredictor(exported, description, CPU, **options)  # type: ignore[arg-type]
    theirs = Predictor(model, **options)  # type: ignore[arg-type]
    prompts = [prompts_of(image) for image in images]
    # All images in one batch, and batches of prompts that begin and end within an image.
    made = ours.decode(ours.encode(images), prompts), theirs.decode(theirs.encode(images), prompts)
    found = ious(*made)
    assert len(found) == 7 * len(images) * (1 if choice == "single" else 3)
    assert np.mean(found) >= 0.999 and min(found) >= 0.98
    assert any(own.mask.bits.any() for own in made[0][0])


def test_sams_masks_and_probabilities_come_with_them(exported: Path, model: HQSam, images: list[np.ndarray]) -> None:
    description = find_exported(str(exported))
    assert description is not None and description.mask_output == "sum"
    ours = ExportedPredictor(exported, description, CPU, compare_sam=True, soft=True)
    theirs = Predictor(model, compare_sam=True, soft=True)
    prompts = [prompts_of(images[2])]
    for own, expected in zip(*(each.predict_batch([images[2]], prompts)[0] for each in (ours, theirs)), strict=True):
        assert own.sam is not None and expected.sam is not None
        assert np.count_nonzero(own.sam.mask.full() != expected.sam.mask.full()) < 50
        assert own.probabilities is not None and expected.probabilities is not None
        assert own.probabilities.values.shape == expected.probabilities.values.shape
        difference = own.probabilities.values.astype(int) - expected.probabilities.values
        assert np.abs(difference).max() <= 2


def test_what_it_cannot_do_is_one_line(exported: Path) -> None:
    description = find_exported(str(exported))
    assert description is not None
    assert resolve_exported(description, "auto", "auto") == resolve_exported(description, "cpu", "float32") == CPU
    with pytest.raises(UsageError, match="exported in float32"):
        resolve_exported(description, "cpu", "bfloat16")
    with pytest.raises(UsageError, match="mps: not available in this ONNX Runtime"):
        resolve_exported(description, "mps", "auto")
    with pytest.raises(HqsamError, match=r"encoder\.onnx: ONNX Runtime cannot load it"):
        ExportedPredictor(exported.parent, description, CPU)
