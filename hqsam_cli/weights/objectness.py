"""The embedded weights of the objectness score."""

from __future__ import annotations

from ..inference.objectness import Objectness
from ..modeling.sam import HQSam
from .registry import OBJECTNESS, has_tiny_encoder


def load_objectness(model: HQSam) -> Objectness:
    """The score for a model: with its image embedding if the encoder is MobileSAM's, else by shape alone."""
    from safetensors.numpy import load_file

    return Objectness.from_tensors(load_file(OBJECTNESS), with_embedding=has_tiny_encoder(model))
