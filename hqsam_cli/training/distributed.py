"""Distributed training with `torchrun`; a single process is a world of size 1."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

# Other processes wait in their next step while the main process validates and writes.
TIMEOUT = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class World:
    """A process of `size`; the main process, rank 0, validates, writes and logs."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0

    def wrap(self, criterion: nn.Module, *, all_used: bool) -> nn.Module:
        """Wrap the criterion to average gradients; `all_used` if each step uses every trained parameter."""
        if self.size == 1:
            return criterion
        own = [self.device.index] if self.device.type == "cuda" else None
        # Buffers are frozen.
        return DistributedDataParallel(
            criterion, device_ids=own, broadcast_buffers=False, find_unused_parameters=not all_used
        )

    def wait(self) -> None:
        """Barrier for all processes."""
        if self.size > 1:
            distributed.barrier()

    def union(self, own: set[str]) -> set[str]:
        """Union of a set over all processes."""
        if self.size == 1:
            return own
        everyone: list[set[str]] = [set()] * self.size
        distributed.all_gather_object(everyone, own)
        return set().union(*everyone)


@contextmanager
def join_world(device: torch.device) -> Iterator[World]:
    """Join the `torchrun` process group, if any, on the GPU of the local rank."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device)
        return
    rank = int(os.environ["RANK"])
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    try:
        world = World(device, rank, size)
        yield world
        world.wait()  # gloo may abort a process that leaves before another
    finally:
        distributed.destroy_process_group()
