"""A model of the package `sam2` with random weights, and ours from a file of its state."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.weights.checkpoints import METADATA, load_checkpoint

from ..conftest import randomized

SIDE = 256  # input size; all features have cells outside the last window


def official_model(size: str, **overrides: object) -> Any:
    """A model of `sam2` with its random weights, on the CPU; `size` as in the names of its configurations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sam2.build_sam import build_sam2

        settings = [f"++model.{key}={value}" for key, value in overrides.items()]
        return build_sam2(f"configs/sam2.1/sam2.1_hiera_{size}.yaml", device="cpu", hydra_overrides_extra=settings)


def official_file(path: Path, state: dict[str, torch.Tensor], side: int = SIDE) -> Path:
    """Write a state as in the official files, with the input size."""
    torch.save({"model": state, METADATA: {"image_size": str(side)}}, path)
    return path


@dataclass
class Pair:
    """The model of `sam2` and its predictor with an image set, and our model with the same weights."""

    theirs: Any
    predictor: Any
    ours: HQSam
    image: np.ndarray


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    torch.manual_seed(0)
    theirs = randomized(official_model("t", image_size=SIDE))
    ours = load_checkpoint(official_file(tmp_path_factory.mktemp("sam2") / "tiny.pt", theirs.state_dict()))
    coarse = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    image = cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sam2.sam2_image_predictor import SAM2ImagePredictor

        predictor = SAM2ImagePredictor(theirs)
        predictor._bb_feat_sizes = [(SIDE // stride,) * 2 for stride in (4, 8, 16)]  # a constant, for 1024 pixels
        predictor.set_image(image)
    return Pair(theirs, predictor, ours, image)
