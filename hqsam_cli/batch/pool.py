"""A pool of worker processes that may die: their pending images are retried, and only an image that kills them fails.

Outputs are atomic and deterministic, so processing a batch twice is harmless. Since it is unknown which pending image
killed a process, each is retried alone until it is done or has killed three processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Generic, TypeVar

from ..errors import HqsamError, ImageError
from .steps import WorkItem
from .work import Outcome, failed

MOST_DEATHS = 3  # of processes with the same pending image, or of successive processes while loading models
MEMORY = "check that there is enough memory"


class WorkerDiedError(Exception):
    """A process died; the message says how."""


class PoolWorker(ABC):
    """A process with a `Worker`, replaced when it dies.

    Attributes:
        in_hand: pending batches, the first one in progress; an empty one stands for model loading.
        failed_starts: number of successive processes that died while loading models.
    """

    most_in_hand: int

    def __init__(self) -> None:
        self.in_hand: deque[list[WorkItem]] = deque()
        self.failed_starts = 0

    def start(self) -> None:
        """Start or replace the process."""
        self.in_hand = deque([[]])
        self._start()

    def give(self, group: list[WorkItem]) -> None:
        """Submit a batch."""
        self.in_hand.append(group)
        self._send(group)

    def take(self) -> list[Outcome]:
        """Wait for the outcomes of the first pending batch.

        Raises:
            HqsamError: an error that does not concern a single image.
            WorkerDiedError: the process died.
        """
        made = self._receive()
        if isinstance(made, str):
            raise HqsamError(made)
        if not self.in_hand.popleft():
            self.failed_starts = 0
        return made

    def rest(self) -> Iterator[list[Outcome]]:
        """Outcomes of batches in progress, when the run stops."""
        return iter(())

    @abstractmethod
    def end(self) -> None:
        """End the process."""

    @abstractmethod
    def _start(self) -> None: ...

    @abstractmethod
    def _send(self, group: list[WorkItem]) -> None: ...

    @abstractmethod
    def _receive(self) -> list[Outcome] | str: ...


W = TypeVar("W", bound=PoolWorker)


class Pool(ABC, Generic[W]):
    """An `Engine` of worker processes; batches are returned as they complete.

    Args:
        workers: not started; the first models are loaded on return.

    Raises:
        HqsamError: the models cannot be loaded.
    """

    def __init__(self, workers: Sequence[W]) -> None:
        self.workers: list[W] = []
        self.deaths: Counter[str] = Counter()  # by pending image name
        self.again: deque[WorkItem] = deque()
        try:
            for worker in workers:
                worker.start()
                self.workers.append(worker)
            while all(worker.in_hand for worker in workers):
                for worker in self._ready(workers):
                    self._take(worker)
        except BaseException:
            self._end()
            raise

    def outcomes(
        self, groups: Iterator[list[WorkItem]], stopped: Callable[[], bool]
    ) -> Generator[list[Outcome], None, None]:
        """See `Engine`."""
        try:
            while not stopped():
                for worker in self.workers:
                    self._fill(worker, groups)
                at_work = [worker for worker in self.workers if any(worker.in_hand)]
                if not at_work:
                    return
                for worker in self._ready(at_work):
                    if made := self._take(worker):
                        yield made
            for worker in self.workers:
                yield from filter(None, worker.rest())
        finally:
            self._end()

    @abstractmethod
    def _ready(self, workers: Sequence[W]) -> list[W]:
        """Wait for workers with outcomes, and return them."""

    def _fill(self, worker: W, groups: Iterator[list[WorkItem]]) -> None:
        while len(worker.in_hand) < worker.most_in_hand:
            if any(self.deaths[item.source.file_name] for group in worker.in_hand for item in group):
                return  # it is processed alone
            if self.again and not any(worker.in_hand):
                worker.give([self.again.popleft()])
            elif (group := next(groups, None)) is not None:
                worker.give(group)
            else:
                return

    def _take(self, worker: W) -> list[Outcome]:
        """Outcomes of the first pending batch; if the process died, those of images that are given up."""
        try:
            return worker.take()
        except WorkerDiedError as death:
            reason = str(death)
        in_hand = [item for group in worker.in_hand for item in group]
        if worker.in_hand[0]:
            self.deaths.update(item.source.file_name for item in in_hand)
        else:
            worker.failed_starts += 1
            if worker.failed_starts == MOST_DEATHS:
                raise HqsamError(f"a process died while loading the models ({reason})", remedy=MEMORY)
        given_up = [item for item in in_hand if self.deaths[item.source.file_name] == MOST_DEATHS]
        self.again.extend(item for item in in_hand if item not in given_up)
        worker.start()
        why = f"it killed {MOST_DEATHS} processes ({reason})"
        return [failed(item, ImageError(why, file=item.source.path, remedy=MEMORY)) for item in given_up]

    def _end(self) -> None:
        for worker in self.workers:
            worker.end()
