"""Images of runs in other processes, and of runs at URLs."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.batch.remote_images import IMAGES


@pytest.fixture
def mixed_images(tmp_path: Path) -> Path:
    """Nine sound images, one that the model cannot bear, and an empty file."""
    (tmp_path / "imgs" / "sub").mkdir(parents=True)
    for number in range(9):
        name = f"sub/{number}.png" if number % 2 else f"{number}.jpg"
        Image.new("RGB", (40, 30), (0, 20 * number, 90)).save(tmp_path / "imgs" / name)
    Image.new("RGB", (40, 30), (255, 0, 0)).save(tmp_path / "imgs" / "red.png")
    (tmp_path / "imgs" / "bad.jpg").write_bytes(b"")
    return tmp_path / "imgs"


@pytest.fixture
def imgs(tmp_path: Path) -> Path:
    for name, content in IMAGES.items():
        path = tmp_path / "imgs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "imgs"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "imgs"
    (folder / "sub").mkdir(parents=True)
    for number in range(7):
        name = f"sub/{number:03d}.png" if number % 2 else f"{number:03d}.jpg"
        Image.new("RGB", (40, 30), (0, 40 * number % 255, 90)).save(folder / name)
    return folder
