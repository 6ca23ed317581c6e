"""The two layouts the weights of SAM and HQ-SAM come in: names of the same tensors, in the same shapes.

`official` is that of the authors' files, and of this package. `transformers` is that of `SamHQModel` and
`SamModel`, as the repositories of `syscv-community` have it: a folder with `config.json` and
`model.safetensors`. Only models with a ViT exist there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..errors import HqsamError
from .registry import ARCHITECTURES, build_model, infer_architecture

HQ_MODULES = ("hf_token", "hf_mlp", "compress_vit_feat", "embedding_encoder", "embedding_maskfeature")
DECODER = "mask_decoder."
HQ_PREFIXES = tuple(f"{DECODER}{module}." for module in HQ_MODULES)
PREFIXES = ("module.", "model.", "sam.", "_orig_mod.")  # of what trainers wrap models in
BARE_DECODER = ("hf_token.weight", "transformer.")  # names of the authors' training, which saves the decoder alone
HQ_KEY = "mask_decoder.hf_token.weight"

POSITIONS = "shared_image_embedding.positional_embedding"
POSITIONS_AGAIN = "prompt_encoder.shared_embedding.positional_embedding"  # tied to the first; some files hold it too
THEIR_HQ_KEY = "mask_decoder.hq_token.weight"
THEIR_ENCODER, OUR_POSITIONS = "vision_encoder.pos_embed", "image_encoder.pos_embed"

# From the official name to theirs; every rule that matches is applied.
RULES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$", POSITIONS),
        (r"^prompt_encoder\.point_embeddings\.", "prompt_encoder.point_embed."),
        (r"^prompt_encoder\.mask_downscaling\.0\.", "prompt_encoder.mask_embed.conv1."),
        (r"^prompt_encoder\.mask_downscaling\.1\.", "prompt_encoder.mask_embed.layer_norm1."),
        (r"^prompt_encoder\.mask_downscaling\.3\.", "prompt_encoder.mask_embed.conv2."),
        (r"^prompt_encoder\.mask_downscaling\.4\.", "prompt_encoder.mask_embed.layer_norm2."),
        (r"^prompt_encoder\.mask_downscaling\.6\.", "prompt_encoder.mask_embed.conv3."),
        (r"^image_encoder\.blocks\.", "vision_encoder.layers."),
        (r"^image_encoder\.neck\.0\.", "vision_encoder.neck.conv1."),
        (r"^image_encoder\.neck\.1\.", "vision_encoder.neck.layer_norm1."),
        (r"^image_encoder\.neck\.2\.", "vision_encoder.neck.conv2."),
        (r"^image_encoder\.neck\.3\.", "vision_encoder.neck.layer_norm2."),
        (r"^image_encoder\.patch_embed\.proj\.", "vision_encoder.patch_embed.projection."),
        (r"^image_encoder\.", "vision_encoder."),
        (r"\.norm(\d)\.", r".layer_norm\1."),
        (r"\.norm_final_attn\.", ".layer_norm_final_attn."),
        (r"\.output_upscaling\.0\.", ".upscale_conv1."),
        (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
        (r"\.output_upscaling\.3\.", ".upscale_conv2."),
        (r"\.hf_token\.", ".hq_token."),
        (r"\.hf_mlp\.", ".hq_mask_mlp."),
        (r"\.compress_vit_feat\.0\.", ".compress_vit_conv1."),
        (r"\.compress_vit_feat\.1\.", ".compress_vit_norm."),
        (r"\.compress_vit_feat\.3\.", ".compress_vit_conv2."),
        (r"\.embedding_encoder\.0\.", ".encoder_conv1."),
        (r"\.embedding_encoder\.1\.", ".encoder_norm."),
        (r"\.embedding_encoder\.3\.", ".encoder_conv2."),
        (r"\.embedding_maskfeature\.0\.", ".mask_conv1."),
        (r"\.embedding_maskfeature\.1\.", ".mask_norm."),
        (r"\.embedding_maskfeature\.3\.", ".mask_conv2."),
        # Their MLPs of three layers call the outer two by what they do.
        (r"(\.hq_mask_mlp|\.iou_prediction_head|\.output_hypernetworks_mlps\.\d)\.layers\.0\.", r"\1.proj_in."),
        (r"(\.hq_mask_mlp|\.iou_prediction_head|\.output_hypernetworks_mlps\.\d)\.layers\.2\.", r"\1.proj_out."),
        (r"(\.hq_mask_mlp|\.iou_prediction_head|\.output_hypernetworks_mlps\.\d)\.layers\.1\.", r"\1.layers.0."),
    )
)


def transformers_key(key: str) -> str:
    """The name that `transformers` gives a tensor of the official layout."""
    for pattern, name in RULES:
        key = pattern.sub(name, key)
    return key


def plain_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors without what trainers put before their names; those of a decoder alone get its name."""
    named = {key.replace("_orig_mod.", ""): tensor for key, tensor in state.items()}
    while prefix := next((p for p in PREFIXES if named and all(key.startswith(p) for key in named)), None):
        named = {key.removeprefix(prefix): tensor for key, tensor in named.items()}
    if all(any(key.startswith(part) for key in named) for part in BARE_DECODER):
        named = {f"{DECODER}{key}": tensor for key, tensor in named.items()}
    return named


def is_transformers(state: Mapping[str, Tensor]) -> bool:
    """Whether the tensors have the names of `transformers`."""
    return THEIR_ENCODER in state and state[THEIR_ENCODER].ndim == 4


def is_hq(key: str) -> bool:
    """Whether an official name is one of the HQ modules that HQ-SAM adds to SAM."""
    return key.startswith(HQ_PREFIXES)


def to_official_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under their official names; what is not of the `transformers` layout comes back as it is.

    A tensor of neither layout keeps its name, so that a strict check finds it.
    """
    architecture = None
    if is_transformers(state):
        architecture = infer_architecture({OUR_POSITIONS: state[THEIR_ENCODER]})
    if architecture is None:
        return dict(state)
    names = {transformers_key(key): key for key in build_model(architecture, has_hq=THEIR_HQ_KEY in state).state_dict()}
    names[POSITIONS_AGAIN] = names[POSITIONS]
    return {names.get(key, key): tensor for key, tensor in state.items()}


def transformers_state(state: Mapping[str, Tensor], architecture: str) -> dict[str, Tensor]:
    """Tensors of the official layout under the names of `transformers`.

    Raises:
        HqsamError: `transformers` has no such architecture.
    """
    vits = [name for name, entry in ARCHITECTURES.items() if entry.vit is not None]
    if architecture not in vits:
        raise HqsamError(
            f"transformers has no {architecture} in its layout, only {', '.join(vits)}",
            remedy="write a .pth or .safetensors",
        )
    return {transformers_key(key): tensor for key, tensor in state.items()}


def transformers_config(architecture: str, *, has_hq: bool) -> dict[str, Any]:
    """The `config.json` beside the tensors; what is left out is the default there."""
    config, kind = ARCHITECTURES[architecture].vit, "sam_hq" if has_hq else "sam"
    assert config is not None
    encoder = {
        "model_type": f"{kind}_vision_model",
        "hidden_size": config.dim,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "global_attn_indexes": list(config.global_blocks),
        "mlp_dim": 4 * config.dim,
    }
    decoder = {"model_type": f"{kind}_mask_decoder"} | ({"vit_dim": config.dim} if has_hq else {})
    return {
        "architectures": ["SamHQModel" if has_hq else "SamModel"],
        "model_type": kind,
        "vision_config": encoder,
        "mask_decoder_config": decoder,
        "prompt_encoder_config": {"model_type": f"{kind}_prompt_encoder"},
    }
