"""A small set of drawn objects, and a small model."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from hqsam_cli.data.pairs import ImageMaskFolder, find_pairs
from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.recipes.scenes import render_scene
from hqsam_cli.weights.registry import build_model


def small_model(**options: bool) -> HQSam:
    """A `vit_tiny` with equal random weights each time, for squares of 64 pixels."""
    torch.manual_seed(0)
    return build_model("vit_tiny", image_size=64, **options, device="cpu").eval()


def copied(model: HQSam) -> dict[str, torch.Tensor]:
    """Its state as it is now."""
    return {key: value.clone() for key, value in model.state_dict().items()}


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether all that `one` holds is the same in `other`."""
    return all(torch.equal(value, other[key]) for key, value in one.items())


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
def folder(set_folder: Path) -> ImageMaskFolder:
    return find_pairs(set_folder)
