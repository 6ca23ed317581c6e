"""A finished run to report on, with names that attack, and a browser to look at its page."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from hqsam_cli.records import Failure, MaskCrop

if TYPE_CHECKING:
    from playwright.sync_api import Browser

SIZE = (160, 120)
ATTACK = "<img src=x onerror=alert(1)>.jpg"
CATEGORIES = [{"id": 3, "name": "disc"}, {"id": 9, "name": "</script><b>ring"}]
NAMES = ["a.jpg", "sub/b.jpg", ATTACK, 'a "quoted", name.jpg', "empty one.jpg", "plain.jpg"]
FAILED = {
    "torn.jpg": ("broken image", "it ends too soon", "fetch it again"),
    "void.jpg": ("the file is empty", "", "fetch it again"),
}


def disc(x: float, y: float, radius: float) -> np.ndarray:
    """A mask, bool (120, 160)."""
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    made: np.ndarray = (columns - x) ** 2 + (rows - y) ** 2 < radius**2
    return made


def annotation(number: int, image_id: int, mask: np.ndarray, **more: Any) -> dict[str, Any]:
    """An annotation as `hqsam segment` writes it."""
    crop = MaskCrop(mask, 0, 0, mask.shape[1], mask.shape[0])
    box = [float(n) for n in crop.tight_box()]
    record = {
        "id": number,
        "image_id": image_id,
        "category_id": 3,
        "segmentation": crop.rle,
        "area": int(mask.sum()),
        "bbox": box,
        "iscrowd": 0,
        "score": 0.9,
        "predicted_iou": 0.95,
        "prompt_box": box,
    }
    return {**record, **more}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """`out`, the output of a run over `imgs`: a photo of two discs each, a mask a disc, and two photos that failed.

    The second mask of `sub/b.jpg`, annotation 4, is off its disc, and of the other category.
    """
    photos, out = tmp_path / "imgs", tmp_path / "out"
    (photos / "sub").mkdir(parents=True)
    out.mkdir()
    lines: list[dict[str, Any]] = [{"identity": {"exif": "apply"}, "info": {"command": "hqsam segment imgs -o out"}}]
    for number, name in enumerate(NAMES, 1):
        left, right = disc(45, 50, 30), disc(115, 70, 28)
        pixels = np.where((left | right)[..., None], (250, 200, 40), (20, 60, 120)).astype(np.uint8)
        Image.fromarray(pixels).save(photos / name)
        own = [
            annotation(2 * number - 1, number, left),
            annotation(2 * number, number, right, score=0.2 + 0.1 * number),
        ]
        if name == "sub/b.jpg":
            moved = {**annotation(4, number, disc(100, 50, 28), category_id=9), "prompt_box": own[1]["bbox"]}
            own[1] = {**moved, "score": 0.35}
        lines.append(
            {"path": str(photos / name), "fingerprint": "", "lost": 0, "file_name": name, "image_id": number}
            | {"seconds": {"decode": 0.01, "model": 0.5, "write": 0.02}}
            | {"width": SIZE[0], "height": SIZE[1], "annotations": [] if "empty" in name else own, "error": None}
        )
    for number, (name, parts) in enumerate(FAILED.items(), len(NAMES) + 1):
        failure = Failure(f"imgs/{name}", *parts)
        lines.append(
            {"path": str(photos / name), "fingerprint": "", "lost": 0, "file_name": name, "image_id": number}
            | {"width": None, "height": None, "annotations": [], "error": str(failure), "failure": astuple(failure)}
        )
    (out / "journal.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
    document = {
        "info": lines[0]["info"],
        "images": [
            {"id": r["image_id"], "file_name": r["file_name"], "width": r["width"], "height": r["height"]}
            for r in lines[1:]
            if r["width"]
        ],
        "annotations": [a for r in lines[1:] for a in r["annotations"]],
        "categories": CATEGORIES,
    }
    (out / "instances.json").write_text(json.dumps(document))
    return out


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The Chromium of this machine."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    api = pytest.importorskip("playwright.sync_api", reason="there is no playwright here: pip install playwright")
    with api.sync_playwright() as playwright:
        # A browser of root runs without its sandbox or not at all.
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=chromium, args=flags)
        yield started
        started.close()
