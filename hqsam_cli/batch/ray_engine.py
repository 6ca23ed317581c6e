"""Processing on a Ray cluster: actors load the models and write outputs; this process writes the journal.

An actor catches the errors of an image and returns them in its record. The `Pool`, not Ray, handles restarts and
retries. All nodes need the same files under the same paths.
"""

from __future__ import annotations

import logging
import math
import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from ..errors import HqsamError, UsageError
from .pool import Pool, PoolWorker, WorkerDiedError
from .steps import WorkItem
from .work import Outcome, Worker

PATIENCE = 10.0  # timeout in seconds to reach a cluster


class RayEngine(Pool["_ActorWorker"]):
    """See `Pool`.

    Args:
        build: creates a worker; called once in each actor.
        address: of the cluster; None uses `RAY_ADDRESS`, or starts Ray on this machine.
        actors: number of actors; None for as many as fit in the cluster.
        groups: maximum number of batches.
        on_gpu: an actor uses a GPU; else as many cores as torch has threads here, for identical results.

    Raises:
        UsageError: Ray is not installed.
        HqsamError: the cluster is unreachable, an actor does not fit in it, or the models cannot be loaded.
    """

    def __init__(
        self, build: Callable[[], Worker], address: str | None, actors: int | None, groups: int, *, on_gpu: bool
    ) -> None:
        import torch

        threads = torch.get_num_threads()
        # Read at import: otherwise Ray prints each death of an actor to stdout, which may carry results.
        os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
        try:
            import ray
        except ImportError:
            raise UsageError("needs Ray", option="engine", value="ray", remedy="pip install 'hqsam-cli[ray]'") from None
        try:
            _check_answers(address or os.environ.get("RAY_ADDRESS", ""))
            with _stderr_closed():
                ray.init(address, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
        except (OSError, ValueError, RuntimeError) as error:
            remedy = "see ray status; if the cluster requires a token, set RAY_AUTH_MODE=token"
            raise HqsamError(f"no Ray cluster ({_reason(error)})", value=address, remedy=remedy) from None
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        room = math.floor(resources.get("GPU", 0) if on_gpu else resources.get("CPU", 0) / threads)
        if room < 1:
            raise HqsamError("the Ray cluster has no resources for an actor", remedy="check ray status and `device`")
        actor: Any = ray.remote(_Actor)
        needs = {"num_gpus": 1} if on_gpu else {"num_cpus": threads}
        make = partial(actor.options(max_restarts=0, max_task_retries=0, **needs).remote, build, threads)
        super().__init__([_ActorWorker(make) for _ in range(max(min(actors or room, groups), 1))])

    def _ready(self, workers: Sequence[_ActorWorker]) -> list[_ActorWorker]:
        import ray

        ready, _ = ray.wait([worker.refs[0] for worker in workers])
        return [worker for worker in workers if worker.refs[0] in ready]


class _ActorWorker(PoolWorker):
    """See `PoolWorker`."""

    most_in_hand = 2  # one in progress, and one in transit

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self.make = make
        self.actor: Any = None
        self.refs: deque[Any] = deque()

    def _start(self) -> None:
        self.end()
        self.actor = self.make()
        self.refs = deque([self.actor.load.remote()])

    def _send(self, group: list[WorkItem]) -> None:
        self.refs.append(self.actor.outcomes.remote(group))

    def _receive(self) -> list[Outcome] | str:
        import ray
        from ray.exceptions import RayError, RaySystemError, RayTaskError

        try:
            made: list[Outcome] | str = ray.get(self.refs.popleft())
            return made
        except (RaySystemError, RayTaskError) as error:
            raise HqsamError(
                f"the Ray cluster failed ({_reason(error)})", remedy="run the same command again to continue"
            ) from None
        except RayError as error:  # the actor, its node or its results are lost
            raise WorkerDiedError(_reason(error)) from None

    def end(self) -> None:
        """See `PoolWorker`."""
        import ray

        if self.actor is not None:
            ray.kill(self.actor)


class _Actor:
    """A `Worker` in a cluster process."""

    def __init__(self, build: Callable[[], Worker], threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.build = build

    def load(self) -> list[Outcome] | str:
        """Load the models; returns an error message on failure."""
        try:
            self.worker = self.build()
        except (HqsamError, MemoryError) as error:
            return str(error) or "out of memory"
        return []

    def outcomes(self, group: list[WorkItem]) -> list[Outcome] | str:
        """Process a batch; returns an error message for errors that do not concern a single image."""
        try:
            return self.worker.outcomes(group)
        except (HqsamError, MemoryError) as error:
            return str(error) or "out of memory"


def _check_answers(address: str) -> None:
    """Raise an OSError or ValueError if the cluster does not respond: Ray itself would retry for 15 minutes."""
    place = urlsplit(address if "://" in address else f"//{address}")
    if place.hostname and place.port:
        socket.create_connection((place.hostname, place.port), timeout=PATIENCE).close()


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Suppress stderr of this process, where Ray prints its settings."""
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _reason(error: Exception) -> str:
    """First sentence of the last line of a Ray error."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].partition(". ")[0].rstrip(".")
