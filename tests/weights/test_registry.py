"""Sizes of the models against the authors' published ones."""

from __future__ import annotations

import hashlib

import pytest
import torch
from torch import nn

from hqsam_cli.modeling.sam import HQSam
from hqsam_cli.weights.checkpoints import read_state
from hqsam_cli.weights.conversion import is_hq
from hqsam_cli.weights.registry import ARCHITECTURES, PACKAGED, WEIGHTS, build_model, infer_architecture

HQ_MODULES = ("hf_token", "hf_mlp", "compress_vit_feat", "embedding_encoder", "embedding_maskfeature")


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("name", "total", "hq", "encoder", "decoder", "keys", "interm_dim"),
    [
        ("vit_tiny", 10_578_604, 448_512, 6_065_532, 4_506_852, 464, 160),
        ("vit_b", 94_806_576, 1_071_104, 89_670_912, 5_129_444, 339, 768),
        ("vit_l", 313_676_080, 1_333_248, 308_278_272, 5_391_588, 507, 1024),
        ("vit_h", 642_686_000, 1_595_392, 637_026_048, 5_653_732, 619, 1280),
    ],
)
def test_parameters_and_keys(
    name: str, total: int, hq: int, encoder: int, decoder: int, keys: int, interm_dim: int
) -> None:
    model = build_model(name)
    assert parameters(model) == total
    assert parameters(model.image_encoder) == encoder
    assert parameters(model.mask_decoder) == decoder
    assert parameters(model.prompt_encoder) == 6_220
    assert sum(parameters(getattr(model.mask_decoder, part)) for part in HQ_MODULES) == hq
    assert len(model.state_dict()) == keys
    assert model.state_dict()["mask_decoder.compress_vit_feat.0.weight"].shape == (interm_dim, 256, 2, 2)
    plain = build_model(name, has_hq=False)
    assert len(plain.state_dict()) == keys - 25
    assert not hasattr(plain.mask_decoder, "hf_token")


@pytest.mark.parametrize("name", ["vit_l", "vit_h"])
def test_large_models_have_the_shapes_of_the_paper(name: str) -> None:
    model: HQSam = build_model(name)
    with torch.device("meta"):
        embedding, early = model.image_encoder(torch.empty(1, 3, 1024, 1024))
    assert embedding.shape == (1, 256, 64, 64)
    assert early.shape == (1, ARCHITECTURES[name].interm_dim, 64, 64)


def test_lite_is_mobile_sam_in_half_precision_with_hq_modules() -> None:
    state, metadata = read_state(PACKAGED["lite"])
    sam = hashlib.sha256()
    for key in sorted(key for key in state if not is_hq(key)):
        sam.update(key.encode() + state[key].contiguous().numpy().tobytes())
    # Of the official file, whose SHA-256 is that of `mobile_sam` in `WEIGHTS`, with its floats rounded by `half()`.
    assert sam.hexdigest() == "92e0096c982fffc0cf7673264b4c227456b577487951dac0b7d8fef90a2b0560"
    assert metadata["base_sha256"] == WEIGHTS["mobile_sam"].sha256
    assert infer_architecture(state) == "vit_tiny" and any(map(is_hq, state))
    assert PACKAGED["lite"].stat().st_size < 23_000_000


def test_an_unknown_architecture_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"'vit_x'.*vit_tiny"):
        build_model("vit_x")
