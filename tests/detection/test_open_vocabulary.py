"""Open-vocabulary detectors with text encoders of random weights."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hqsam_cli.configs import DetectorConfig
from hqsam_cli.detection import open_vocabulary
from hqsam_cli.detection.detector import Detector
from hqsam_cli.detection.open_vocabulary import ENCODERS, TextEncoder
from hqsam_cli.detection.yolo import ultralytics
from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.weights.hub import file_hash
from tests.detection.conftest import SaveDetector

CPU = torch.device("cpu")
LENGTH = 77  # tokens of a text
WORDS = ["red bag", "ladder", "person"]


class Encoder(nn.Module):
    """Unit vectors that depend on the letters of a text."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.table = nn.Embedding(256, 512)

    def forward(self, tokens: Tensor) -> Tensor:
        return nn.functional.normalize(self.table(tokens).sum(dim=1), dim=-1)


def tokenize(texts: str | list[str], truncate: bool = True) -> Tensor:
    """The bytes of texts as tokens."""
    rows = [texts] if isinstance(texts, str) else texts
    return torch.tensor([[*text.encode()[:LENGTH], *[0] * (LENGTH - len(text.encode()))] for text in rows])


@pytest.fixture
def encoders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Text encoders in torch's cache, and a package `clip` that loads them."""
    folder = tmp_path / "torch/hub/checkpoints"
    folder.mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    torch.jit.script(Encoder()).save(str(folder / "mobileclip_blt.ts"))
    (folder / "ViT-B-32.pt").write_bytes((folder / "mobileclip_blt.ts").read_bytes())

    def load(name: str, device: Any, download_root: str | None = None) -> tuple[Any, None]:
        model = torch.jit.load(name)
        model.encode_text = model.forward
        return model, None

    clip = ModuleType("clip")
    clip.__spec__ = ModuleSpec("clip", None)
    clip.load, clip.tokenize, clip.clip = load, tokenize, clip  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "clip", clip)
    monkeypatch.delitem(sys.modules, "ultralytics.nn.text_model", raising=False)
    paths = {name: folder / name for name in ("mobileclip_blt.ts", "ViT-B-32.pt")}
    for kind, encoder in ENCODERS.items():
        if encoder.file in paths:
            monkeypatch.setitem(ENCODERS, kind, encoder._replace(sha256=file_hash(paths[encoder.file])))
    return paths


@pytest.mark.parametrize("name", ["yolov8s-world", "yolov8s-worldv2", "yoloe-11s-seg", "yoloe-v8s"])
def test_text_prompts_are_the_classes(
    saved_detector: SaveDetector, encoders: dict[str, Path], photos: list[np.ndarray], name: str
) -> None:
    path = saved_detector(name)
    settings = DetectorConfig(score_threshold=0.0, max_det=20, imgsz=160, classes=("red bag,ladder", "person"))
    detector = Detector(path, settings, CPU)
    assert detector.categories == [{"id": n, "name": word} for n, word in enumerate(WORDS, 1)]
    assert detector.config.classes == tuple(WORDS)
    encoder = encoders["ViT-B-32.pt" if "world" in name else "mobileclip_blt.ts"]
    assert detector.identity == {"detector": f"{file_hash(path)[:16]}+{file_hash(encoder)[:16]}"}
    found = [prompt for own in detector.detect(photos) for prompt in own]
    assert found and {prompt.category_id for prompt in found} <= {1, 2, 3}
    # The reference is ultralytics with the same classes.
    package = ultralytics()
    theirs = package.YOLO(str(path))
    from ultralytics.nn.text_model import CLIP, MobileCLIPTS

    theirs.model.clip_model = CLIP(str(encoder), CPU) if "world" in name else MobileCLIPTS(CPU, weight=str(encoder))
    if "world" in name:
        theirs.model.set_classes(WORDS, cache_clip_model=True)
    else:
        theirs.set_classes(WORDS, theirs.model.get_text_pe(WORDS, cache_clip_model=True))
    results = theirs.predict([p[..., ::-1] for p in photos], conf=0.0, max_det=20, imgsz=160, verbose=False)
    boxes = [box for result in results for box in result.boxes if (box.xywh[0, 2:] > 0.01).all()]
    assert [prompt.category_id for prompt in found] == [int(box.cls) + 1 for box in boxes]
    assert np.allclose([p.score or 0 for p in found], [box.conf.item() for box in boxes], atol=1e-6)


def test_known_classes_need_no_text_encoder(saved_detector: SaveDetector) -> None:
    detector = Detector(saved_detector("yolov8s-world"), DetectorConfig(classes=("Dog,person",)), CPU)
    assert [category["name"] for category in detector.categories] == ["person", "dog"]
    assert detector.config.classes == ("person", "dog")
    assert "+" not in detector.identity["detector"]


def test_other_detectors_reject_unknown_classes(saved_detector: SaveDetector) -> None:
    with pytest.raises(UsageError, match="has no such class"):
        Detector(saved_detector("yolov8n"), DetectorConfig(classes=("red bag",)), CPU)


def test_missing_files_and_packages_are_explained(
    saved_detector: SaveDetector, encoders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = DetectorConfig(classes=("red bag",))
    world, yoloe = saved_detector("yolov8s-world"), saved_detector("yoloe-11s-seg")
    encoders["ViT-B-32.pt"].write_bytes(b"another")
    with pytest.raises(HqsamError, match=r"ViT-B-32\.pt: not the expected file"):
        Detector(world, words, CPU)
    encoders["ViT-B-32.pt"].unlink()
    with pytest.raises(HqsamError, match="a dry run downloads nothing"):
        Detector(world, words, CPU, may_fetch=False)
    gone = TextEncoder("ViT-B-32.pt", (tmp_path / "nothing").as_uri(), "0")
    monkeypatch.setitem(open_vocabulary.ENCODERS, "clip:ViT-B/32", gone)
    with pytest.raises(HqsamError, match=r"checkpoints/ViT-B-32\.pt: not downloaded, .* put it there$"):
        Detector(world, words, CPU)
    encoders["mobileclip_blt.ts"].write_bytes(b"another")
    with pytest.raises(HqsamError, match=r"mobileclip_blt\.ts: not the expected file"):
        Detector(yoloe, words, CPU)
    other = ENCODERS["mobileclip:blt"]._replace(sha256=file_hash(encoders["mobileclip_blt.ts"]))
    monkeypatch.setitem(open_vocabulary.ENCODERS, "mobileclip:blt", other)
    with pytest.raises(HqsamError, match="cannot be run as a text encoder"):
        Detector(yoloe, words, CPU)
    monkeypatch.setattr(open_vocabulary, "find_spec", lambda _: None)
    with pytest.raises(HqsamError, match=r"red bag: text prompts need the package clip; pip install git\+https"):
        Detector(world, words, CPU)
