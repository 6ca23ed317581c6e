"""Exported files: precision, architectures, and what is left when the masks are wrong."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.inference.device import Compute
from hqsam_cli.inference.exported import ExportedPredictor
from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.records import Prompt
from hqsam_cli.weights import export as module
from hqsam_cli.weights.checkpoints import load_model
from hqsam_cli.weights.export import export_model
from hqsam_cli.weights.exported import find_exported
from hqsam_cli.weights.registry import ARCHITECTURES, build_model, hiera_architecture, vit_architecture
from tests.conftest import SAMPLES
from tests.modeling.conftest import randomized

pytest.importorskip("onnx", reason="the extra onnx is not installed: pip install onnx onnxruntime")
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.array(Image.open(SAMPLES / "images/kites.jpg").convert("RGB").resize((200, 150)))


def random_model(path: Path, architecture: str, image_size: int, *, has_hq: bool = True) -> Path:
    """A checkpoint with random weights."""
    torch.manual_seed(0)
    model = randomized(build_model(architecture, has_hq=has_hq, image_size=image_size, device="cpu"))
    save_file(model.state_dict(), path, {"image_size": str(image_size)})
    return path


@pytest.mark.parametrize("has_hq", [True, False], ids=["HQ-SAM", "SAM"])
def test_a_vit_and_a_plain_sam(
    has_hq: bool, tmp_path: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARCHITECTURES, "vit_small", vit_architecture(32, 3, 2, (1,)))
    model = random_model(tmp_path / "small.safetensors", "vit_small", 240, has_hq=has_hq)
    made = export_model(str(model), tmp_path / "out", [photo])
    outputs = ["auto", "sum", "hq", "sam"] if has_hq else ["sam"]
    assert [own.output for own in made.agreements] == outputs
    assert all(own.mean >= 0.999 and own.masks >= 40 for own in made.agreements)
    description = find_exported(str(tmp_path / "out"))
    assert description is not None and list(description.mask_outputs) == outputs and description.image_size == 240
    assert description.source["name"] == "small.safetensors" and description.source["license"] is None


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_large_weights_are_beside_the_graphs(
    precision: module.Precision, tmp_path: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARCHITECTURES, "vit_small", vit_architecture(32, 3, 2, (1,)))
    monkeypatch.setattr(module, "LARGEST_FILE", 2**16)
    monkeypatch.setitem(module.MIN_IOU, "int8", 0.0)  # of random weights
    model = random_model(tmp_path / "small.safetensors", "vit_small", 240)
    export_model(str(model), tmp_path / "out", [photo], precision)
    graphs = {"encoder.onnx", "decoder.onnx"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "model.json", *graphs, *(f"{name}.data" for name in graphs)
    }  # fmt: skip
    assert find_exported(str(tmp_path / "out")) is not None
    assert all((tmp_path / "out" / name).stat().st_size < 2**20 for name in graphs)


@pytest.mark.parametrize(("precision", "share", "least"), [("float16", 0.6, 0.99), ("int8", 0.8, 0.8)])
def test_smaller_files_cost_little(
    precision: module.Precision, share: float, least: float, small_lite: Path, tmp_path: Path, photo: np.ndarray
) -> None:
    made = export_model(str(small_lite), tmp_path / "out", [photo], precision)
    before, after = (sum(own[k] for own in made.sizes.values()) for k in (0, 1))
    assert after < share * before
    assert sum(path.stat().st_size for path in (tmp_path / "out").glob("*.onnx")) == pytest.approx(after, rel=0.15)
    assert all(own.mean >= least for own in made.agreements)
    assert min(own.mean for own in made.agreements) < 1  # it is not the float32 model


def test_wrong_masks_leave_no_files(tmp_path: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(tmp_path / "tiny.safetensors", "vit_tiny", 64)
    monkeypatch.setattr(module, "PIXEL_MEAN", (0.0, 0.0, 0.0))
    with pytest.raises(HqsamError, match=r"differ from torch's.* under 0\.999"):
        export_model(str(model), tmp_path / "out", [photo])
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.safetensors"]


def test_nothing_is_overwritten_and_missing_packages_are_named(
    exported: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="already exists; choose a new folder"):
        export_model("lite", exported, [photo])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UsageError, match=r"export needs onnx; pip install 'hqsam-cli\[onnx\]'"):
        export_model("lite", exported.parent / "new", [photo])


@pytest.mark.parametrize("has_hq", [True, False], ids=["HQ-SAM 2", "SAM 2"])
def test_a_sam2(has_hq: bool, tmp_path: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ARCHITECTURES, "hiera_t", hiera_architecture(16, 1, (1, 1, 2, 1), (3,)))
    path = random_model(tmp_path / "small.safetensors", "hiera_t", 128, has_hq=has_hq)
    made = export_model(str(path), tmp_path / "out", [photo])
    assert all(own.mean >= 0.999 and own.masks >= 40 for own in made.agreements)
    description = find_exported(str(tmp_path / "out"))
    assert description is not None and description.square_input
    ours, theirs = (
        ExportedPredictor(tmp_path / "out", description, Compute("cpu", "float32")),
        Predictor(load_model(path)),
    )
    boxes = [Prompt(box=(10.0 * k, 5.0 * k, 90 + 9.0 * k, 150)) for k in range(9)]
    coarse = np.zeros(photo.shape[:2], bool)
    coarse[30:90, 40:160] = True
    # The second photo is the same in another shape, and the mask has neither points nor a box.
    prompts = [(0, own) for own in boxes] + [(1, Prompt(points=np.array([[50.0, 60, 1], [9, 9, 0]])))]
    outputs = description.mask_outputs
    predictors = ours, theirs
    encoded = [own.encode([photo, photo[:90]]) for own in predictors]
    for asked in (prompts, [(1, Prompt(mask=coarse[:90]))]):
        for ours.choice in ("single", "all"):
            theirs.choice = ours.choice
            pairs = zip(predictors, encoded, strict=True)
            (_, actual), (_, expected) = (next(own.logits(features, asked, outputs)) for own, features in pairs)
            for output in outputs:
                (logits, iou), (their_logits, their_iou) = actual[output], expected[output]
                np.testing.assert_allclose(logits, their_logits, atol=1e-4 * np.ptp(their_logits.numpy()))
                np.testing.assert_allclose(iou, their_iou, atol=1e-4)


def test_names_take_precedence_over_folders(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lite").symlink_to(exported)
    monkeypatch.chdir(tmp_path)
    assert find_exported("lite") is None
    assert find_exported("./lite") is not None


def test_damaged_files_are_refused(exported: Path, tmp_path: Path) -> None:
    for path in exported.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert find_exported(str(tmp_path)) == find_exported(str(exported))
    (tmp_path / "decoder.onnx").write_bytes((tmp_path / "encoder.onnx").read_bytes())
    with pytest.raises(HqsamError, match=r"decoder\.onnx: not the file that was exported"):
        find_exported(str(tmp_path))
    (tmp_path / "decoder.onnx").unlink()
    with pytest.raises(HqsamError, match=r"decoder\.onnx: missing file"):
        find_exported(str(tmp_path))
    described = json.loads((tmp_path / "model.json").read_text())
    contents: list[object] = [{}, [], described | {"files": []}, described | {"files": {"../encoder.onnx": ""}}]
    contents.append(described | {"files": {"encoder.onnx": described["files"]["encoder.onnx"]}})
    for damaged in contents:
        (tmp_path / "model.json").write_text(json.dumps(damaged))
        with pytest.raises(HqsamError, match=r"model\.json: not the description"):
            find_exported(str(tmp_path))


def test_the_documented_example_runs_without_this_package(exported: Path, tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (DOCS / "export.md").read_text("utf-8"), re.DOTALL)
    assert sum(map(bool, example.splitlines())) <= 20
    scene = Image.open(SAMPLES / "images/meadow.jpg")
    scene.save(tmp_path / "photo.jpg")
    (tmp_path / "lite-onnx").symlink_to(exported)
    width, height = scene.size
    example = re.sub(r"np\.array\(\[\[50, .*\]\]\)", f"np.array([[0, 0, {width}, {height}], [9, 9, 99, 99]])", example)
    blocked = "import sys\nfor name in ('torch', 'cv2', 'hqsam_cli'):\n    sys.modules[name] = None\n"
    shown = "\nprint(len(masks), masks[0].shape, masks[0].any(), iou.shape)"
    command = [sys.executable, "-c", blocked + example + shown]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.stdout == f"2 ({height}, {width}) True (2, 4)\n", ended.stderr
