"""Work on a Ray cluster: actors that hold the model and write outputs, and one journal here.

An actor catches whatever is wrong with an image and returns its record, so Ray never sees a bad one. Outputs are
atomic and the same whoever makes them, so a group that Ray gives out twice does no harm. What is left is for the
journal to say. All nodes see the same files under the same paths.
"""

from __future__ import annotations

import logging
import math
import os
import pickle
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from typing import Any

import torch

from ..errors import HqsamError, UsageError
from .work import Asked, Outcome, Worker

MOST_BLOCKS = 5000  # of a data set; Ray keeps track of each
GROUPS, MADE, FATAL = "groups", "made", "fatal"  # columns


class RayEngine:
    """See `Engine`; groups come as they are done.

    Args:
        build: makes what works on images, in an actor; called once in each.
        address: of the cluster; None starts one on this machine, or takes the one that `RAY_ADDRESS` names.
        actors: how many; None for all that the cluster has room for.
        on_gpu: an actor has a GPU of its own; else as many cores as torch has threads here, so that sums are the same.

    Raises:
        UsageError: Ray is not installed.
        HqsamError: there is no such cluster, or it has no room for an actor.
    """

    def __init__(self, build: Callable[[], Worker], address: str | None, actors: int | None, *, on_gpu: bool) -> None:
        try:
            import ray
        except ImportError:
            raise UsageError("needs Ray", option="engine", value="ray", remedy="pip install 'hqsam-cli[ray]'") from None
        self.build, self.threads = build, torch.get_num_threads()
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else Ray tells this terminal what it mends by itself
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            remedy = "see ray status; where the cluster asks for a token, set RAY_AUTH_MODE=token"
            raise HqsamError(f"no Ray cluster ({reason})", value=address, remedy=remedy) from None
        self.on_gpu = on_gpu
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        room = resources.get("GPU", 0) if on_gpu else resources.get("CPU", 0) / self.threads
        if room < 1:
            raise HqsamError("the Ray cluster has no room for an actor", remedy="see ray status, and `device`")
        self.actors = actors or math.floor(room)

    def outcomes(
        self, groups: Iterator[list[Asked]], stopped: Callable[[], bool]
    ) -> Generator[list[Outcome], None, None]:
        """See `Engine`."""
        import ray

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.max_consecutive_actor_init_deaths = 3
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        rows = [{GROUPS: pickle.dumps(group)} for group in groups]
        if not rows:
            return
        made = ray.data.from_items(rows, override_num_blocks=min(len(rows), MOST_BLOCKS)).map_batches(
            _Actor,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(self.actors, len(rows))),
            fn_constructor_args=(self.build, self.threads),
            num_cpus=None if self.on_gpu else self.threads,
            num_gpus=1 if self.on_gpu else None,
        )
        try:
            for row in made.iter_rows():
                if row[FATAL]:
                    raise HqsamError(row[FATAL])
                yield pickle.loads(row[MADE])
                if stopped():
                    return
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise HqsamError(f"the Ray cluster failed ({reason})", remedy="the same command continues") from None


class _Actor:
    """Works on groups, in a process of the cluster."""

    def __init__(self, build: Callable[[], Worker], threads: int) -> None:
        torch.set_num_threads(threads)
        self.build = build
        self.worker: Worker | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[Any]]:
        groups = [pickle.loads(group) for group in batch[GROUPS]]
        try:
            # Not when the actor begins: what is wrong with a model is to be one line, and said once.
            self.worker = self.worker or self.build()
            made = [self.worker.outcomes(group) for group in groups]
        except (HqsamError, MemoryError) as error:
            return {MADE: [b""], FATAL: [str(error) or "out of memory"]}
        return {MADE: [pickle.dumps(list(chain(*made)))], FATAL: [""]}
