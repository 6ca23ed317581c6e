"""Checkpoints of HQ-SAM, SAM and MobileSAM: found by name, read safely, loaded strictly.

The architecture follows from the shapes of the tensors, never from the name of the file.
"""

from __future__ import annotations

import hashlib
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import HqsamError, UsageError
from .sam import HQSam
from .zoo import ARCHITECTURES, LITE, VIT_TINY, VITS, WEIGHTS, build_model

LITE_PATH = Path(__file__).parent.parent / "weights" / "lite.safetensors"
WRAPPERS = ("model", "state_dict", "model_state_dict")
HQ_KEY = "mask_decoder.hf_token.weight"


def load_model(path: Path) -> HQSam:
    """The model of a checkpoint, in float32 and evaluation mode on the CPU.

    Raises:
        HqsamError: the file is no checkpoint, or its tensors are not those of the model it looks like.
    """
    state, metadata = read_state(path)
    architecture = inferred_architecture(state)
    if architecture is None:
        first = next(iter(state), "none")
        raise HqsamError(
            f"{path}: holds no SAM or HQ-SAM model (first key: {first}); "
            "give a checkpoint of lite, vit_tiny, vit_b, vit_l or vit_h"
        )
    has_hq = HQ_KEY in state
    size = metadata.get("image_size", "1024")
    model = build_model(architecture, has_hq=has_hq, image_size=int(size) if size.isdigit() else 1024)
    _check_tensors(path, f"{'HQ-SAM' if has_hq else 'SAM'} {architecture}", model.state_dict(), state)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, assign=True)
    return model.eval().requires_grad_(False)


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a `.safetensors` or a torch file; nothing in the file is executed.

    Raises:
        HqsamError: the file cannot be read as either.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(9)
    except OSError as error:
        raise HqsamError(f"{path}: cannot be read ({error.strerror}); give a model name or a checkpoint") from None
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return _read_safetensors(path)
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise HqsamError(
            f"{path}: no plain torch checkpoint: it is damaged, or wants to run code, which is refused; "
            "fetch it again, or convert it to .safetensors where you trust it"
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
        raise HqsamError(f"{path}: not a checkpoint that torch can read ({reason}); fetch it again") from None
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise HqsamError(f"{path}: holds no dictionary of tensors; give a model's state dict")
    return content, {}


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except SafetensorError as error:
        raise HqsamError(f"{path}: damaged safetensors file ({error}); fetch it again") from None


def inferred_architecture(state: dict[str, Tensor]) -> str | None:
    """Which architecture the tensors are of, or None."""
    if "image_encoder.stem.conv.weight" in state:
        return LITE
    if "image_encoder.patch_embed.seq.0.c.weight" in state:
        return VIT_TINY
    positions = state.get("image_encoder.pos_embed")
    widths = {config.dim: name for name, config in VITS.items()}
    return widths.get(positions.shape[-1]) if positions is not None and positions.ndim == 4 else None


def _check_tensors(path: Path, name: str, wanted: dict[str, Tensor], state: dict[str, Tensor]) -> None:
    """Raise unless keys and shapes are equal."""
    missing = [key for key in wanted if key not in state]
    unexpected = [key for key in state if key not in wanted]
    if missing or unexpected:
        parts = [
            f"{len(keys)} keys {kind}, first {keys[0]}"
            for kind, keys in (("missing", missing), ("unexpected", unexpected))
            if keys
        ]
        raise HqsamError(f"{path}: looks like {name} but does not fit it: {'; '.join(parts)}; fetch the whole file")
    for key, tensor in wanted.items():
        if tensor.shape != state[key].shape:
            raise HqsamError(
                f"{path}: looks like {name}, but {key} is {tuple(state[key].shape)}, not {tuple(tensor.shape)}; "
                "only models of the official sizes can be used"
            )


def checkpoint_path(model: str) -> Path:
    """The file of a model name or path; official weights are fetched on first use and their hash is checked.

    Raises:
        UsageError: neither a name nor a file.
        HqsamError: the weights cannot be fetched, or are not the official ones.
    """
    if model == LITE:
        return LITE_PATH
    if model in WEIGHTS:
        return _fetched(model)
    if not Path(model).is_file():
        raise UsageError(f"--model {model}: neither a file nor one of {', '.join(ARCHITECTURES)}")
    return Path(model)


def _fetched(model: str) -> Path:
    from huggingface_hub import hf_hub_download

    weights = WEIGHTS[model]
    try:
        path = Path(hf_hub_download(weights.repository, weights.file))
    except (OSError, ValueError) as error:
        # Everything the hub client raises for an address it cannot reach derives from these.
        reason = type(error).__name__
        raise HqsamError(
            f"--model {model}: {weights.file} ({weights.size:,} bytes) of {weights.repository} is not in the cache "
            f"and cannot be fetched ({reason}): fetch it elsewhere and pass its path, --model PATH/{weights.file}"
        ) from None
    if file_hash(path) != weights.sha256:
        raise HqsamError(f"{path}: not the official {weights.file} (its SHA-256 differs); delete it and run again")
    return path


@cache
def file_hash(path: Path) -> str:
    """SHA-256 of a file, read once a process."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
