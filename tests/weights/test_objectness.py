"""The embedded weights of the objectness score."""

from __future__ import annotations

import pytest

from hqsam_cli.inference.objectness import SHAPE
from hqsam_cli.weights.objectness import load_objectness
from hqsam_cli.weights.registry import build_model


@pytest.mark.parametrize(("architecture", "measures"), [("vit_tiny", len(SHAPE) + 256), ("vit_b", len(SHAPE))])
def test_only_the_embedding_that_it_was_fitted_to_is_used(architecture: str, measures: int) -> None:
    assert load_objectness(build_model(architecture)).weight.shape == (measures,)
