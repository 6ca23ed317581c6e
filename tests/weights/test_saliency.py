"""The embedded weights of the saliency head."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from hqsam_cli.inference.predictor import Predictor
from hqsam_cli.modeling.overlap import iou
from hqsam_cli.weights import saliency
from hqsam_cli.weights.checkpoints import load_model
from hqsam_cli.weights.registry import build_model
from hqsam_cli.weights.saliency import make_salient_predictor


def test_a_prominent_object_is_found_wherever_it_is() -> None:
    height, width = 300, 400
    sky = np.linspace(200, 120, height)[:, None, None] * np.array([0.7, 0.85, 1])
    salient = make_salient_predictor(Predictor(load_model("lite")))
    for center, axes in (((130, 160), (60, 90)), ((270, 150), (90, 60))):
        disc = cv2.ellipse(np.zeros((height, width), np.uint8), center, axes, 0, 0, 360, 1, cv2.FILLED).astype(bool)
        image = np.where(disc[..., None], [190, 30, 40], np.broadcast_to(sky, (height, width, 3))).astype(np.uint8)
        ((found,),) = salient.generate([image])
        assert iou(found.mask.full(), disc) > 0.9


def test_models_with_another_encoder_get_that_of_lite(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny, other = (build_model(name) for name in ("vit_tiny", "vit_b"))
    monkeypatch.setattr(saliency, "load_model", lambda *_: tiny)
    assert make_salient_predictor(Predictor(tiny)).encoder is None
    own = make_salient_predictor(Predictor(other))
    assert own.encoder is not None and own.encoder.model is tiny and own.predictor.model is other
