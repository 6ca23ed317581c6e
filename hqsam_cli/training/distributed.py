"""The processes that train together, as `torchrun` starts them; one alone is a world too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

# While the first process validates and writes, the others wait for it in their next step.
PATIENCE = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class World:
    """One process among `size`; the one of rank 0 is_main: it validates, writes and speaks."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process speaks for all."""
        return self.rank == 0

    def wrap(self, criterion: nn.Module, *, all_used: bool) -> nn.Module:
        """The criterion with gradients averaged over the world.

        Args:
            all_used: every learned parameter takes part in every step.
        """
        if self.size == 1:
            return criterion
        own = [self.device.index] if self.device.type == "cuda" else None
        # Buffers are frozen with the rest of SAM and equal everywhere.
        return DistributedDataParallel(
            criterion, device_ids=own, broadcast_buffers=False, find_unused_parameters=not all_used
        )

    def wait(self) -> None:
        """Go on when all are here."""
        if self.size > 1:
            distributed.barrier()

    def union(self, own: set[str]) -> set[str]:
        """The sets of all processes together."""
        if self.size == 1:
            return own
        everyone: list[set[str]] = [set()] * self.size
        distributed.all_gather_object(everyone, own)
        return set().union(*everyone)


@contextmanager
def join_world(device: torch.device) -> Iterator[World]:
    """The world that the environment of `torchrun` tells of; each process takes the GPU of its local rank."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device)
        return
    rank = int(os.environ["RANK"])
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        world = World(device, rank, size)
        yield world
        world.wait()  # gloo now and then aborts a process that leaves while another still works
    finally:
        distributed.destroy_process_group()
