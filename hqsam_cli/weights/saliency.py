"""The embedded weights of the saliency head."""

from __future__ import annotations

from ..inference.predictor import Predictor
from ..inference.salient import SalientPredictor
from ..modeling.saliency import SaliencyHead
from .checkpoints import load_model
from .registry import SALIENCY, has_tiny_encoder


def make_salient_predictor(predictor: Predictor) -> SalientPredictor:
    """A predictor of salient objects; if the model has another image encoder than `lite`, that of `lite` is run too."""
    from safetensors.torch import load_file

    weights = {name: values.float() for name, values in load_file(SALIENCY).items()}
    head = SaliencyHead(weights["project.weight"].shape[1])
    head.load_state_dict(weights)
    device, dtype = predictor.model.device, predictor.dtype
    encoder = None if has_tiny_encoder(predictor.model) else Predictor(load_model("lite", device, dtype), dtype=dtype)
    return SalientPredictor(predictor, head.eval().to(device), encoder)
