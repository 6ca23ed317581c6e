"""Conversion between the layouts of SAM and HQ-SAM weights: the same tensors with different keys.

`official` is the layout of the authors' files and of this package. `transformers` is that of `SamHQModel` and
`SamModel`: a folder with `config.json` and `model.safetensors`, as in the `syscv-community` repositories. It only
supports ViT models. Files of SAM 2 and HQ-SAM 2 are read without the tensors that only videos need; within this package
their tensors are named as those of SAM.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from ..errors import HqsamError
from .registry import ARCHITECTURES, build_model, infer_architecture

HQ_MODULES = ("hf_token", "hf_mlp", "compress_vit_feat", "embedding_encoder", "embedding_maskfeature")
DECODER = "mask_decoder."
IOU_HEAD = f"{DECODER}hf_iou_head."  # optional
HQ_PREFIXES = (*(f"{DECODER}{module}." for module in HQ_MODULES), IOU_HEAD)
PREFIXES = ("module.", "model.", "sam.", "_orig_mod.")  # added by DDP, trainers, torch.compile
BARE_DECODER = ("hf_token.weight", "transformer.")  # keys of the authors' training, which only saves the decoder
HQ_KEY = "mask_decoder.hf_token.weight"

POSITIONAL_EMBEDDING = "shared_image_embedding.positional_embedding"
TIED_POSITIONAL_EMBEDDING = "prompt_encoder.shared_embedding.positional_embedding"  # in some files only
TRANSFORMERS_HQ_KEY = "mask_decoder.hq_token.weight"
TRANSFORMERS_POS_EMBED_KEY, POS_EMBED_KEY = "vision_encoder.pos_embed", "image_encoder.pos_embed"

# Official to transformers keys; all matching rules are applied in order.
RULES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^prompt_encoder\.pe_layer\.positional_encoding_gaussian_matrix$", POSITIONAL_EMBEDDING),
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
        # In three-layer MLPs of transformers only the middle layer is in `layers`.
        (r"(\.hq_mask_mlp|\.iou_prediction_head|\.output_hypernetworks_mlps\.\d)\.layers\.0\.", r"\1.proj_in."),
        (r"(\.hq_mask_mlp|\.iou_prediction_head|\.output_hypernetworks_mlps\.\d)\.layers\.2\.", r"\1.proj_out."),
        (r"(\.hq_mask_mlp|\.iou_prediction_head|\.output_hypernetworks_mlps\.\d)\.layers\.1\.", r"\1.layers.0."),
    )
)

# Keys of this package to those of SAM 2's files.
SAM2_KEY, SAM2_HQ_KEY = "sam_mask_decoder.iou_token.weight", "sam_mask_decoder.hf_token.weight"
SAM2_RULES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^(prompt_encoder|mask_decoder)\.", r"sam_\1."),
        (r"^image_encoder\.no_mem_embed$", "no_mem_embed"),
        (r"^image_encoder\.neck\.(\d)\.", r"image_encoder.neck.convs.\1.conv."),
        (r"^image_encoder\.high_res\.0\.0\.", "image_encoder.neck.convs.2.conv."),
        (r"^image_encoder\.high_res\.1\.0\.", "image_encoder.neck.convs.3.conv."),
        (r"^image_encoder\.high_res\.0\.1\.", "sam_mask_decoder.conv_s1."),
        (r"^image_encoder\.high_res\.1\.1\.", "sam_mask_decoder.conv_s0."),
        (r"\.mlp\.lin1\.", ".mlp.layers.0."),
        (r"\.mlp\.lin2\.", ".mlp.layers.1."),
    )
)
VIDEO_PREFIXES = (  # of tensors that predictions from images do not need
    "memory_attention.",
    "memory_encoder.",
    "maskmem_tpos_enc",
    "mask_downsample.",
    "no_mem_pos_enc",
    "no_obj_embed_spatial",
    "no_obj_ptr",
    "obj_ptr_proj.",
    "obj_ptr_tpos_proj.",
    "sam_mask_decoder.pred_obj_score_head.",
)


def transformers_key(key: str) -> str:
    """Convert an official key to its `transformers` key."""
    return _renamed(key, RULES)


def sam2_key(key: str) -> str:
    """Convert a key of this package to that of SAM 2's files."""
    return _renamed(key, SAM2_RULES)


def _renamed(key: str, rules: Sequence[tuple[re.Pattern[str], str]]) -> str:
    for pattern, name in rules:
        key = pattern.sub(name, key)
    return key


def plain_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Strip wrapper prefixes from keys, and add the missing prefix to keys of a bare decoder."""
    named = {key.replace("_orig_mod.", ""): tensor for key, tensor in state.items()}
    while prefix := next((p for p in PREFIXES if named and all(key.startswith(p) for key in named)), None):
        named = {key.removeprefix(prefix): tensor for key, tensor in named.items()}
    if all(any(key.startswith(part) for key in named) for part in BARE_DECODER):
        named = {f"{DECODER}{key}": tensor for key, tensor in named.items()}
    return named


def is_transformers(state: Mapping[str, Tensor]) -> bool:
    """Whether the state is in `transformers` layout."""
    return TRANSFORMERS_POS_EMBED_KEY in state and state[TRANSFORMERS_POS_EMBED_KEY].ndim == 4


def is_hq(key: str) -> bool:
    """Whether an official key belongs to the HQ modules, which HQ-SAM adds to SAM, or to their IoU head."""
    return key.startswith(HQ_PREFIXES)


def has_iou_head(state: Mapping[str, Tensor]) -> bool:
    """Whether a state with official keys has an IoU head; the official HQ-SAM models have none."""
    return any(key.startswith(IOU_HEAD) for key in state)


def to_official_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a state to the official layout.

    Unknown keys are kept, so that validation reports them.
    """
    if SAM2_KEY in state:
        return _from_sam2(state)
    if not is_transformers(state):
        return dict(state)
    architecture = infer_architecture({POS_EMBED_KEY: state[TRANSFORMERS_POS_EMBED_KEY]})
    if architecture is None:
        return dict(state)
    official = build_model(architecture, has_hq=TRANSFORMERS_HQ_KEY in state).state_dict()
    names = {transformers_key(key): key for key in official}
    names[TIED_POSITIONAL_EMBEDDING] = names[POSITIONAL_EMBEDDING]
    return {names.get(key, key): tensor for key, tensor in state.items()}


def _from_sam2(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a file of SAM 2, and drop those for videos."""
    architecture = infer_architecture(state)
    if architecture is None:
        return dict(state)
    own = build_model(architecture, has_hq=SAM2_HQ_KEY in state).state_dict()
    names = {sam2_key(key): key for key in own}
    return {names.get(key, key): x for key, x in state.items() if not key.startswith(VIDEO_PREFIXES)}


def transformers_state(state: Mapping[str, Tensor], architecture: str) -> dict[str, Tensor]:
    """Convert a state from the official to the `transformers` layout, which has no IoU head for the HQ masks.

    Raises:
        HqsamError: `transformers` does not support the architecture.
    """
    vits = [name for name, entry in ARCHITECTURES.items() if entry.vit is not None]
    if architecture not in vits:
        raise HqsamError(
            f"the transformers layout does not support {architecture}, only {', '.join(vits)}",
            remedy="write a .pth or .safetensors",
        )
    return {transformers_key(key): tensor for key, tensor in state.items() if not key.startswith(IOU_HEAD)}


def transformers_config(architecture: str, *, has_hq: bool) -> dict[str, Any]:
    """The `config.json` of `transformers`; omitted values use its defaults."""
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
