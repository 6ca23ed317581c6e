"""Detectors by name, and which are safe to load."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from hqsam_cli.detection import files
from hqsam_cli.detection.files import detector_file
from hqsam_cli.errors import HqsamError, UsageError
from hqsam_cli.weights.hub import file_hash


class _Evil:
    """Touches a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A local folder as the release of ultralytics, and an empty cache."""
    folder = tmp_path / "release"
    folder.mkdir()
    monkeypatch.setattr(files, "ASSETS_URL", folder.as_uri())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    (folder / "yolo11n.pt").write_bytes(b"weights")
    monkeypatch.setitem(files.ASSETS, "yolo11n.pt", file_hash(folder / "yolo11n.pt"))
    return folder


def test_an_unknown_pickle_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(pickle.dumps(_Evil(tmp_path / "ran")))
    with pytest.raises(UsageError, match=r"best\.pt: .*run arbitrary code.*`trust_detector`.*ONNX.*`boxes`"):
        detector_file(str(path), trusted=False)
    assert detector_file(str(path), trusted=True) == path
    assert not (tmp_path / "ran").exists()


def test_a_pickle_of_known_hash_is_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "renamed.pt"
    path.write_bytes(b"weights")
    monkeypatch.setattr(files, "KNOWN", {file_hash(path)})
    assert detector_file(str(path), trusted=False) == path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("yolo99n.pt", r"no such file.*yolo11n\.pt"),
        ("gone/best.pt", "no such file"),
        ("model.engine", r"a detector is a \.pt"),
    ],
)
def test_other_names_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.engine").write_bytes(b"x")
    with pytest.raises(UsageError, match=said):
        detector_file(name, trusted=True)


def test_missing_packages_for_onnx_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "yolo.onnx"
    path.write_bytes(b"x")
    monkeypatch.setattr(files, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(HqsamError, match=r"needs onnxruntime; pip install onnxruntime$"):
        detector_file(str(path), trusted=False)
    monkeypatch.setattr(files, "find_spec", lambda _: object())
    assert detector_file(str(path), trusted=False) == path


def test_a_known_name_is_downloaded_once_and_verified(release: Path) -> None:
    path = detector_file("yolo11n", trusted=False)
    assert path.read_bytes() == b"weights"
    (release / "yolo11n.pt").unlink()
    assert detector_file("yolo11n.pt", trusted=False) == path
    path.write_bytes(b"other")
    with pytest.raises(HqsamError, match=r"SHA-256 differs\); delete it"):
        detector_file("yolo11n.pt", trusted=True)


def test_failed_downloads_are_explained(release: Path, tmp_path: Path) -> None:
    (release / "yolo11n.pt").write_bytes(b"cut")
    with pytest.raises(HqsamError, match="not the expected file"):
        detector_file("yolo11n.pt", trusted=True)
    (release / "yolo11n.pt").unlink()
    with pytest.raises(HqsamError, match=r"cannot be fetched .* download it elsewhere and put it there"):
        detector_file("yolo11n.pt", trusted=False)
    assert not list((tmp_path / "torch").rglob("yolo11n.pt*"))


def test_the_embedded_detector_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "object-nano.safetensors"
    monkeypatch.setattr(files, "EMBEDDED_PATH", path)
    with pytest.raises(UsageError, match=r"no object-nano\.safetensors"):
        detector_file("object", trusted=False)
    path.touch()
    assert detector_file("object", trusted=False) == path
