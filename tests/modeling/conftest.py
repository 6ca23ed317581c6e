"""Models of the authors' package with random weights, and ours with the same weights."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.weights.registry import build_model


@dataclass
class Pair:
    """The authors' model and ours, and the authors' encoding of an image."""

    name: str
    theirs: Any
    baseline: Any
    ours: HQSam
    image: Tensor
    embedding: Tensor
    interm: list[Tensor]


def randomized(model: nn.Module) -> Any:
    """Initialize all-zero parameters at random, since they would hide mistakes."""
    for parameter in model.parameters():
        if not parameter.abs().sum():
            nn.init.normal_(parameter, std=0.05)
    # TinyViT keeps a copy of its biases from when it was last switched to evaluation.
    return model.train().eval()


@pytest.fixture(scope="session", params=["vit_tiny", "vit_b"])
def pair(request: pytest.FixtureRequest) -> Pair:
    """Both models and the encoding of an image, once per session, since encoding is slow."""
    warnings.simplefilter("ignore")
    from segment_anything_hq import sam_model_registry, sam_model_registry_baseline

    torch.manual_seed(0)
    theirs = randomized(sam_model_registry[request.param](checkpoint=None))
    state = theirs.state_dict()
    baseline = sam_model_registry_baseline[request.param](checkpoint=None)
    missing = baseline.load_state_dict(state, strict=False).missing_keys
    assert not missing
    ours = build_model(request.param)
    ours.load_state_dict(state, assign=True)
    image = torch.randn(1, 3, 1024, 1024)
    with torch.no_grad():
        embedding, interm = theirs.image_encoder(image)
    return Pair(request.param, theirs, baseline.train().eval(), ours.eval(), image, embedding, interm)
