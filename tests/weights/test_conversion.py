"""Conversion between the official layout and that of `transformers`."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from hqsam_cli.errors import HqsamError
from hqsam_cli.modeling.prompt_encoder import BOX_BOTTOM_RIGHT, BOX_TOP_LEFT, PromptBatch
from hqsam_cli.weights.checkpoints import load_model, read_checkpoint
from hqsam_cli.weights.conversion import (
    POSITIONAL_EMBEDDING,
    TIED_POSITIONAL_EMBEDDING,
    is_hq,
    is_transformers,
    to_official_state,
    transformers_config,
    transformers_key,
    transformers_state,
)
from hqsam_cli.weights.registry import ARCHITECTURES, build_model, vit_architecture

# What `SamHQModel(SamHQConfig()).save_pretrained` of transformers 5.24 names the tensors of its default, a ViT-B:
# how many, SHA-256 of the sorted names with newlines between, and one of every kind.
KEYS = 339
KEYS_SHA256 = "111d3872b661190c06be42bd136f76ce554b071975c62edfbf39faff29b55da3"
SAMPLES = {
    "vision_encoder.pos_embed": "image_encoder.pos_embed",
    "vision_encoder.patch_embed.projection.bias": "image_encoder.patch_embed.proj.bias",
    "vision_encoder.layers.11.layer_norm2.weight": "image_encoder.blocks.11.norm2.weight",
    "vision_encoder.layers.0.attn.qkv.weight": "image_encoder.blocks.0.attn.qkv.weight",
    "vision_encoder.layers.0.attn.proj.weight": "image_encoder.blocks.0.attn.proj.weight",
    "vision_encoder.neck.layer_norm2.bias": "image_encoder.neck.3.bias",
    POSITIONAL_EMBEDDING: "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    "prompt_encoder.point_embed.3.weight": "prompt_encoder.point_embeddings.3.weight",
    "prompt_encoder.mask_embed.conv3.bias": "prompt_encoder.mask_downscaling.6.bias",
    "mask_decoder.transformer.layers.1.layer_norm4.bias": "mask_decoder.transformer.layers.1.norm4.bias",
    "mask_decoder.transformer.layer_norm_final_attn.bias": "mask_decoder.transformer.norm_final_attn.bias",
    "mask_decoder.upscale_layer_norm.weight": "mask_decoder.output_upscaling.1.weight",
    "mask_decoder.output_hypernetworks_mlps.2.proj_in.bias": "mask_decoder.output_hypernetworks_mlps.2.layers.0.bias",
    "mask_decoder.iou_prediction_head.layers.0.bias": "mask_decoder.iou_prediction_head.layers.1.bias",
    "mask_decoder.hq_mask_mlp.proj_out.bias": "mask_decoder.hf_mlp.layers.2.bias",
    "mask_decoder.hq_token.weight": "mask_decoder.hf_token.weight",
    "mask_decoder.compress_vit_conv2.weight": "mask_decoder.compress_vit_feat.3.weight",
    "mask_decoder.encoder_norm.weight": "mask_decoder.embedding_encoder.1.weight",
    "mask_decoder.mask_conv1.weight": "mask_decoder.embedding_maskfeature.0.weight",
}


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Random tensors of an HQ-SAM whose ViT has two blocks of 32 channels; registered as `vit_b`."""
    monkeypatch.setitem(ARCHITECTURES, "vit_b", vit_architecture(32, 2, 2, (1,)))
    torch.manual_seed(0)
    return {key: torch.randn(value.shape) * 0.1 for key, value in build_model("vit_b").state_dict().items()}


def logits(path: Path) -> Tensor:
    """Logits of a checkpoint for a box in a random image."""
    torch.manual_seed(1)
    prompts = PromptBatch(
        torch.zeros(1, dtype=torch.long),
        torch.tensor([[[200.0, 150.0], [800.0, 700.0]]]),
        torch.tensor([[BOX_TOP_LEFT, BOX_BOTTOM_RIGHT]]),
    )
    model = load_model(path)
    with torch.inference_mode():
        features = model.encode(torch.randn(1, 3, 1024, 1024))
        return model.predict(features, prompts, ["sum"])["sum"][0]


def test_keys_are_those_of_transformers() -> None:
    official = list(build_model("vit_b").state_dict())
    named = sorted(map(transformers_key, official))
    assert len(set(named)) == len(named) == KEYS
    assert hashlib.sha256("\n".join(named).encode()).hexdigest() == KEYS_SHA256
    for theirs, ours in SAMPLES.items():
        assert transformers_key(ours) == theirs


def test_round_trip_keeps_tensors_and_logits(tmp_path: Path, state: dict[str, Tensor]) -> None:
    theirs = transformers_state(state, "vit_b")
    assert is_transformers(theirs)
    assert not is_transformers(state)
    back = to_official_state(theirs)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)

    torch.save(state, tmp_path / "official.pth")
    save_file(theirs, tmp_path / "model.safetensors")
    assert read_checkpoint(tmp_path / "model.safetensors").layout == "transformers"
    expected = logits(tmp_path / "official.pth")
    assert expected.std() > 0
    assert torch.equal(logits(tmp_path / "model.safetensors"), expected)


def test_an_iou_head_is_left_out(state: dict[str, Tensor]) -> None:
    scored = state | {"mask_decoder.hf_iou_head.mlp.layers.0.bias": torch.zeros(8)}
    assert transformers_state(scored, "vit_b").keys() == transformers_state(state, "vit_b").keys()


def test_a_plain_sam_is_converted_too(tmp_path: Path, state: dict[str, Tensor]) -> None:
    plain = transformers_state({key: value for key, value in state.items() if not is_hq(key)}, "vit_b")
    save_file(plain, tmp_path / "model.safetensors")
    assert read_checkpoint(tmp_path / "model.safetensors").kind == "SAM"
    assert not load_model(tmp_path / "model.safetensors").has_hq


def test_duplicated_tied_embeddings_are_accepted(state: dict[str, Tensor]) -> None:
    theirs = transformers_state(state, "vit_b")
    twice = theirs | {TIED_POSITIONAL_EMBEDDING: theirs[POSITIONAL_EMBEDDING].clone()}
    only_again = {key: value for key, value in twice.items() if key != POSITIONAL_EMBEDDING}
    for variant in (twice, only_again):
        assert to_official_state(variant).keys() == state.keys()


def test_unexpected_and_missing_keys_are_reported(tmp_path: Path, state: dict[str, Tensor]) -> None:
    theirs = transformers_state(state, "vit_b") | {"vision_encoder.surprise": torch.zeros(1)}
    del theirs["mask_decoder.mask_norm.bias"]
    save_file(theirs, tmp_path / "model.safetensors")
    with pytest.raises(HqsamError, match=r"embedding_maskfeature\.1\.bias.*vision_encoder\.surprise"):
        load_model(tmp_path / "model.safetensors")


def test_other_architectures_are_rejected() -> None:
    with pytest.raises(HqsamError, match=r"does not support vit_tiny.*vit_b"):
        transformers_state({}, "vit_tiny")


def test_the_config_has_the_sizes() -> None:
    config = json.loads(json.dumps(transformers_config("vit_l", has_hq=True)))
    assert config["architectures"] == ["SamHQModel"]
    assert config["mask_decoder_config"]["vit_dim"] == 1024
    sizes = config["vision_config"]
    assert (sizes["hidden_size"], sizes["num_hidden_layers"], sizes["num_attention_heads"]) == (1024, 24, 16)
    assert sizes["global_attn_indexes"] == [5, 11, 17, 23]
    assert transformers_config("vit_l", has_hq=False)["architectures"] == ["SamModel"]
