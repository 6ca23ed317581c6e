"""Running `hqsam` as a user would, without paying for a new Python each time."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.cli import run_command


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Result]


@pytest.fixture
def hqsam(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, small_lite: Path
) -> Run:
    """`hqsam(*arguments, stdin=b"")` in an empty working directory, with a small model unless one is named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HQSAM_MODEL", str(small_lite))

    def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
        capfdbinary.readouterr()
        monkeypatch.setattr(sys, "argv", ["hqsam", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as ended:
            run_command()
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        code = ended.value.code
        return Result(code if isinstance(code, int) else int(code is not None), out.decode(), err.decode())

    return run


@pytest.fixture
def default_model(hqsam: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hqsam` takes the model that a user gets who names none."""
    monkeypatch.delenv("HQSAM_MODEL")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two photos with a bright disc each, and `dets.json` beside it."""
    folder = tmp_path / "imgs"
    (folder / "sub").mkdir(parents=True)
    y, x = np.mgrid[:120, :160]
    for name, center in (("a.jpg", 60), ("sub/b.png", 90)):
        disc = (x - center) ** 2 + (y - 60) ** 2 < 35**2
        Image.fromarray(np.where(disc[..., None], (250, 220, 40), (20, 60, 120)).astype(np.uint8)).save(folder / name)
    images = [
        {"id": 11, "file_name": "a.jpg", "width": 160, "height": 120},
        {"id": 12, "file_name": "sub/b.png", "width": 160, "height": 120},
    ]
    annotations = [
        {"id": 5, "image_id": 11, "category_id": 3, "bbox": [25, 25, 70, 70], "score": 0.5},
        {"id": 7, "image_id": 12, "category_id": 3, "bbox": [55, 25, 70, 70]},
        {"id": 8, "image_id": 12, "category_id": 3, "bbox": [0, 0, 160, 120]},
    ]
    document = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "disc"}]}
    (tmp_path / "dets.json").write_text(json.dumps(document))
    return folder
