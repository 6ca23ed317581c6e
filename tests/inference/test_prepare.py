"""A model made ready to predict computes what it did."""

import copy

import pytest
import torch
from torch import nn

from hqsam_cli.inference.predictor import prepare_for_inference
from hqsam_cli.modeling.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PromptBatch
from hqsam_cli.modeling.tiny_vit import ConvNorm
from hqsam_cli.weights.registry import build_model
from tests.modeling.conftest import randomized


@pytest.mark.parametrize("architecture", ["vit_tiny"])
@torch.no_grad()
def test_a_folded_model_has_the_same_logits(architecture: str) -> None:
    torch.manual_seed(0)
    plain = randomized(build_model(architecture, image_size=256))
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
    folded = prepare_for_inference(copy.deepcopy(plain), "cpu")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    prompts = PromptBatch(
        torch.zeros(1, dtype=torch.long),
        torch.tensor([[[20.0, 30.0], [150.0, 200.0]]]),
        torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]]),
        None,
    )
    images = torch.randn(2, 3, 256, 256)
    ours, theirs = (m.decode(m.encode(images), prompts) for m in (folded, plain))
    for made, wanted in ((ours.sam, theirs.sam), (ours.hq, theirs.hq)):
        assert made is not None and wanted is not None
        assert float((made - wanted).abs().max()) < 1e-4 * float(wanted.max() - wanted.min())


def test_convolutions_of_the_small_encoder_stay_in_float32_on_a_cpu() -> None:
    model = prepare_for_inference(build_model("vit_tiny", image_size=256), "cpu", torch.bfloat16)
    encoder = model.image_encoder
    assert {own.c.weight.dtype for own in encoder.modules() if isinstance(own, ConvNorm)} == {torch.float32}
    assert {own.weight.dtype for own in encoder.modules() if isinstance(own, nn.Linear)} == {torch.bfloat16}
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        first = encoder.get_submodule("patch_embed")(torch.randn(1, 3, 64, 64))
    assert first.dtype == torch.float32
