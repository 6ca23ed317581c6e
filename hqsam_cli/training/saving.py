"""Files of a run: state, learned tensors, checkpoints. All writes are atomic."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from ..errors import HqsamError
from ..io.atomic import atomic_file
from ..weights.checkpoints import read_checkpoint
from ..weights.conversion import is_hq


def cannot_save(path: Path, error: OSError) -> HqsamError:
    """Error for a file that cannot be written."""
    remedy = "earlier checkpoints are kept: free disk space and run the same command again to continue"
    return HqsamError(f"cannot be written ({error.strerror})", file=path, remedy=remedy)


def write_whole(path: Path, content: Callable[[], bytes | memoryview]) -> None:
    """Atomically replace a file; on failure the old one stays. Raises an HqsamError."""
    try:
        with atomic_file(path) as file:
            file.write(content())
    except OSError as error:
        raise cannot_save(path, error) from None


def save_state(path: Path, state: Mapping[str, object]) -> None:
    """Write the run state, tensors and plain values, as a torch file."""

    def content() -> memoryview:
        # Serialize in memory, because torch's own writer aborts on a full disk.
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        return buffer.getbuffer()

    write_whole(path, content)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file."""
    own = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    write_whole(path, lambda: save(own, metadata))


def save_merged(path: Path, base: Path, learned: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a checkpoint of the unchanged base tensors and the learned ones.

    HQ modules of the base are dropped: the learned tensors have their own, or belong to a plain SAM.
    """
    kept = {key: tensor for key, tensor in read_checkpoint(base).state.items() if not is_hq(key)}
    save_tensors(path, {**kept, **learned}, metadata)
