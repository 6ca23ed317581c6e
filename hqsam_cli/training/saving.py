"""What a run leaves behind: its state, the learned tensors, the checkpoint; each is there whole or not at all."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from ..errors import HqsamError
from ..io.atomic import atomic_file
from ..weights.checkpoints import read_checkpoint
from ..weights.conversion import is_hq


def cannot_save(path: Path, error: OSError) -> HqsamError:
    """The fatal error of something that cannot be written."""
    return HqsamError(
        f"cannot be written ({error.strerror})",
        file=path,
        remedy="what was saved before is kept: make room and run the same command, which continues",
    )


def write_whole(path: Path, content: Callable[[], bytes | memoryview]) -> None:
    """Put a file in the place of what was there, which stays where that fails.

    Raises:
        HqsamError: it cannot be written.
    """
    try:
        with atomic_file(path) as file:
            file.write(content())
    except OSError as error:
        raise cannot_save(path, error) from None


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write the state of a run, tensors and plain values, as a torch file."""

    def content() -> memoryview:
        # Through memory: torch's own writer does not survive a disk that fills up.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        return buffer.getbuffer()

    write_whole(path, content)


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a safetensors file."""
    own = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    write_whole(path, lambda: save(own, metadata))


def save_merged(path: Path, base: Path, learned: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a checkpoint of the base's tensors, bit for bit and in their own dtype, with the learned ones in place.

    The base's HQ modules, where it has any, go: the learned tensors either hold new ones or belong to a plain SAM.
    """
    kept = {key: tensor for key, tensor in read_checkpoint(base).state.items() if not is_hq(key)}
    save_tensors(path, {**kept, **learned}, metadata)
