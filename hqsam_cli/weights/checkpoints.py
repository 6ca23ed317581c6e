"""Read, load, merge and write checkpoints of HQ-SAM, SAM and MobileSAM.

Nothing in a file is executed, and loading is strict. The architecture is inferred from the tensors, not the file name.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ..configs import MaskOutput
from ..errors import HqsamError, UsageError, first_line
from ..inference.predictor import prepare_for_inference
from ..io.file_types import HEAD, describe_placeholder
from ..modeling.sam import HQSam
from .conversion import (
    DECODER,
    HQ_KEY,
    HQ_MODULES,
    has_iou_head,
    is_hq,
    is_transformers,
    plain_names,
    to_official_state,
)
from .hub import EXPORTED_FILE, find_checkpoint
from .registry import ARCHITECTURES, PACKAGED, architecture_of_hq, build_model, infer_architecture

WRAPPERS = ("model", "state_dict", "model_state_dict")
METADATA = "hqsam_metadata"
DEFAULT_IMAGE_SIZE = "1024"
FUSION_KEY = "mask_decoder.compress_vit_feat.0.weight"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint with valid keys and shapes.

    Attributes:
        kind: `HQ-SAM`, `SAM`, `HQ modules` only, or `HQ decoder`, a decoder with HQ modules, as saved by the authors'
            training.
        architecture: a key of `ARCHITECTURES`.
        layout: `official` or `transformers`, of the file.
        state: the tensors, with official keys.
        metadata: of the file, such as `image_size`.
        model: a model of that architecture without these tensors; None for partial models.
    """

    kind: str
    architecture: str
    layout: str
    state: dict[str, Tensor]
    metadata: dict[str, str]
    model: HQSam | None

    @property
    def parameters(self) -> tuple[int, int]:
        """Number of parameters, in total and in the HQ modules."""
        named = self.state.items() if self.model is None else self.model.named_parameters()
        counts = [(tensor.numel(), is_hq(key)) for key, tensor in named]
        return sum(count for count, _ in counts), sum(count for count, hq in counts if hq)

    @property
    def dtypes(self) -> list[str]:
        """Names of the floating-point dtypes of the tensors."""
        kinds = {tensor.dtype for tensor in self.state.values() if tensor.is_floating_point()}
        return sorted(str(kind).removeprefix("torch.") for kind in kinds)


def load_model(
    model: str | Path = "lite", device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> HQSam:
    """Load a model for inference by name or path; official weights are downloaded on first use.

    Batch norms are fused: to train the model or save its state, use `load_checkpoint`.

    Args:
        model: a name from `hqsam weights list`, a checkpoint, or a folder in `transformers` layout.
        dtype: of the `Predictor`.

    Raises:
        HqsamError: unknown weights, the download fails, or the file is not a checkpoint.
    """
    return prepare_for_inference(load_checkpoint(find_checkpoint(str(model))), device, dtype)


def load_checkpoint(path: Path) -> HQSam:
    """Load a model in float32 and evaluation mode on the CPU.

    Raises:
        HqsamError: see `read_checkpoint`; or the file holds a partial model.
    """
    checkpoint = read_checkpoint(path)
    model = checkpoint.model
    if model is None:
        raise HqsamError(
            f"{checkpoint.kind} without SAM weights",
            file=path,
            remedy=f"merge them first: hqsam weights merge SAM {path} -o OUT",
        )
    state = {k: v.float() if v.is_floating_point() else v for k, v in checkpoint.state.items()}
    model.load_state_dict(state, assign=True)
    model.mask_output = _mask_output(path, checkpoint.metadata)
    return model.eval().requires_grad_(False)


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and validate its keys and shapes.

    Raises:
        HqsamError: the file is not a checkpoint, or its keys or shapes do not match its architecture.
    """
    return _validated(path, *read_state(path))


def _validated(path: Path, raw: dict[str, Tensor], metadata: dict[str, str]) -> Checkpoint:
    """Create a checkpoint from a state; `path` is for error messages."""
    state, layout = to_official_state(raw), "transformers" if is_transformers(raw) else "official"
    if HQ_KEY in state and all(key.startswith(DECODER) for key in state):
        kind = "HQ modules" if all(map(is_hq, state)) else "HQ decoder"
        return Checkpoint(kind, _architecture_of_hq(path, state, metadata), layout, state, metadata, None)
    architecture = infer_architecture(state)
    if architecture is None:
        first = next(iter(state), "none")
        raise HqsamError(
            f"contains no SAM or HQ-SAM model (first key: {first})",
            file=path,
            remedy=f"pass a checkpoint of {', '.join(ARCHITECTURES)}",
        )
    kind = "HQ-SAM" if HQ_KEY in state else "SAM"
    size = metadata.get("image_size", DEFAULT_IMAGE_SIZE)
    image_size = int(size if size.isdigit() else DEFAULT_IMAGE_SIZE)
    model = build_model(architecture, has_hq=HQ_KEY in state, has_iou_head=has_iou_head(state), image_size=image_size)
    _check_tensors(path, f"{kind} {architecture}", model.state_dict(), state)
    return Checkpoint(kind, architecture, layout, state, metadata, model)


def default_mask_output(path: Path) -> MaskOutput:
    """The default mask output of a checkpoint, without reading its tensors; `sum` if the file is damaged."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return _mask_output(path, file.metadata() or {})
    except (SafetensorError, OSError):
        return _mask_output(path, {})


def _mask_output(path: Path, metadata: Mapping[str, str]) -> MaskOutput:
    """`auto` for the packaged model and models trained for it, else `sum`, the authors' default."""
    return "auto" if path in PACKAGED.values() or metadata.get("mask_output") == "auto" else "sum"


def merge_checkpoint(sam: Path, hq_only: Path) -> Checkpoint:
    """Merge a SAM and HQ modules trained on it into an HQ-SAM.

    Args:
        sam: a SAM, or an HQ-SAM whose HQ modules are replaced.
        hq_only: HQ modules, or a decoder with them; its metadata takes precedence.

    Raises:
        HqsamError: wrong kind of file, or the architectures differ.
    """
    base, added = read_checkpoint(sam), read_checkpoint(hq_only)
    if base.model is None:
        raise HqsamError(f"{base.kind} without SAM weights", file=sam, remedy="pass the SAM first, then the HQ modules")
    if added.model is not None:
        raise HqsamError(
            f"a complete {added.kind} checkpoint",
            file=hq_only,
            remedy=f"pass a file with mask_decoder.{{{','.join(HQ_MODULES)}}} or of a decoder",
        )
    if base.architecture != added.architecture:
        raise HqsamError(
            f"HQ modules of {added.architecture}, but {sam} is {base.architecture}",
            file=hq_only,
            remedy="pass the SAM they were trained on",
        )
    state = {key: tensor for key, tensor in base.state.items() if not is_hq(key)}
    unexpected = [key for key in added.state if not is_hq(key) and key not in state]
    if unexpected:
        raise HqsamError(f"{len(unexpected)} tensors that {sam} does not have, first {unexpected[0]}", file=hq_only)
    return _validated(hq_only, state | added.state, base.metadata | added.metadata)


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata of a `.safetensors` or torch file, without executing anything in it.

    Raises:
        HqsamError: the file is neither.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError as error:
        raise HqsamError(
            f"cannot be read ({error.strerror})", file=path, remedy="pass a model name or a checkpoint"
        ) from None
    if placeholder := describe_placeholder(head):
        raise HqsamError(placeholder, file=path)
    if path.name == EXPORTED_FILE:
        raise UsageError("an exported model, which only hqsam segment runs", file=path.parent, remedy="pass its source")
    if path.suffix == ".safetensors" or head[8:9] == b"{":
        return _read_safetensors(path)
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "numpy" in str(error):
            raise HqsamError(
                "contains numpy objects, which are unsafe to unpickle and are not loaded",
                file=path,
                remedy="save only the model's state dict: torch.save(model.state_dict(), OUT)",
            ) from None
        raise HqsamError(
            "not a plain torch checkpoint: damaged, or unsafe to unpickle",
            file=path,
            remedy="download it again, or convert it to .safetensors if you trust it",
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise HqsamError(
            f"not a checkpoint that torch can read ({first_line(error)})", file=path, remedy="download it again"
        ) from None
    metadata = content.get(METADATA, {}) if isinstance(content, dict) else {}
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not all(
        isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items()
    ):
        raise HqsamError("contains no state dict", file=path, remedy="pass the state dict of a model")
    content = plain_names(content)
    return content, {str(key): str(value) for key, value in metadata.items()} if isinstance(metadata, dict) else {}


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            # `format` describes the library that wrote the file, not the model.
            return plain_names(tensors), {
                key: value for key, value in (file.metadata() or {}).items() if key != "format"
            }
    except SafetensorError as error:
        raise HqsamError(f"damaged safetensors file ({error})", file=path, remedy="download it again") from None


def write_checkpoint(
    file: BinaryIO, state: Mapping[str, Tensor], metadata: Mapping[str, str], *, safetensors: bool
) -> None:
    """Write tensors as safetensors with metadata, or as a torch file.

    A torch file is a plain state dict without metadata, which the authors' code can load. With a non-default input
    size, which is needed for correct loading, it is a dict of state and metadata.
    """
    tensors = {key: tensor.contiguous() for key, tensor in state.items()}
    if safetensors:
        from safetensors.torch import save

        file.write(save(tensors, metadata={"format": "pt", **metadata}))
        return
    try:
        is_plain = metadata.get("image_size", DEFAULT_IMAGE_SIZE) == DEFAULT_IMAGE_SIZE
        torch.save(tensors if is_plain else {"model": tensors, METADATA: dict(metadata)}, file)
    except RuntimeError as error:
        # When a write fails, closing torch's zip writer fails too; the original error is the context.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise


def _architecture_of_hq(path: Path, state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Architecture of HQ modules: told by the channels of their early features, or without those by the metadata.

    Raises an HqsamError if they are incomplete, or the metadata does not tell.
    """
    fusion = state.get(FUSION_KEY)
    if fusion is None:
        architecture = metadata.get("architecture", "")
        if architecture not in ARCHITECTURES:
            raise HqsamError(
                "HQ modules without early features and without metadata on their model",
                file=path,
                remedy="pass the hq_only.safetensors of hqsam train",
            )
    else:
        architecture = architecture_of_hq(fusion.shape[0] if fusion.ndim else 0) or "vit_tiny"
    model = build_model(architecture, has_iou_head=has_iou_head(state))
    wanted = {key: tensor for key, tensor in model.state_dict().items() if is_hq(key)}
    hq_state = {key: tensor for key, tensor in state.items() if is_hq(key)}
    _check_tensors(path, f"HQ modules of {architecture}", wanted, hq_state)
    return architecture


def _check_tensors(path: Path, name: str, wanted: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> None:
    """Raise an HqsamError unless keys and shapes match."""
    missing = [key for key in wanted if key not in state]
    unexpected = [key for key in state if key not in wanted]
    if missing or unexpected:
        parts = [
            f"{len(keys)} keys {kind}, first {keys[0]}"
            for kind, keys in (("missing", missing), ("unexpected", unexpected))
            if keys
        ]
        raise HqsamError(
            f"looks like {name} but does not match it: {'; '.join(parts)}",
            file=path,
            remedy="download the complete file",
        )
    for key, tensor in wanted.items():
        if tensor.shape != state[key].shape:
            raise HqsamError(
                f"looks like {name}, but {key} is {tuple(state[key].shape)}, not {tuple(tensor.shape)}",
                file=path,
                remedy="only models of the official sizes are supported",
            )
