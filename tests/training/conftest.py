"""A small set of drawn objects."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from hqsam_cli.training.layouts import PairFolder, pair_folder
from hqsam_cli.training.scenes import render_scene


@pytest.fixture(scope="session")
def set_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four images with a blob each, in `images/` and `masks/`."""
    root = tmp_path_factory.mktemp("set")
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for number in range(4):
        scene = render_scene(np.random.default_rng(number), 120, 160, objects=1, kinds=["blob"])
        cv2.imwrite(str(root / "images" / f"{number}.jpg"), scene.image[..., ::-1])
        cv2.imwrite(str(root / "masks" / f"{number}.png"), scene.masks[0].astype(np.uint8) * 255)
    return root


@pytest.fixture(scope="session")
def folder(set_folder: Path) -> PairFolder:
    return pair_folder(set_folder)
