"""Processing in worker processes on this machine, one per device; the parent process writes the journal.

A worker process loads its own models and runs a `LocalEngine`, which decodes ahead and writes behind, so that its
device does not wait.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Event, Thread

from ..errors import HqsamError
from .interrupt import SIGNALS
from .pool import Pool, PoolWorker, WorkerDiedError
from .steps import WorkItem
from .work import GROUPS_AHEAD, LocalEngine, Outcome, Worker


class ProcessEngine(Pool["_Process"]):
    """See `Pool`.

    Args:
        builds: create a worker; called in each process.
        threads: number of decoding threads, and of writing threads, per process.
    """

    def __init__(self, builds: Sequence[Callable[[], Worker]], threads: int) -> None:
        super().__init__([_Process(build, threads) for build in builds])

    def _ready(self, workers: Sequence[_Process]) -> list[_Process]:
        ready = wait([worker.pipe for worker in workers])
        return [worker for worker in workers if worker.pipe in ready]


class _Process(PoolWorker):
    """See `PoolWorker`."""

    # Batches decoded ahead, batches being written, and one more.
    most_in_hand = 2 * GROUPS_AHEAD + 1

    def __init__(self, build: Callable[[], Worker], threads: int) -> None:
        import torch

        super().__init__()
        self.arguments = build, threads, torch.get_num_threads()

    def _start(self) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, *self.arguments), daemon=True)
        self.process.start()
        theirs.close()  # otherwise its death would not be detected

    def _send(self, group: list[WorkItem] | None) -> None:
        with suppress(OSError):  # the process died, which `_receive` detects
            self.pipe.send(group)

    def _receive(self) -> list[Outcome] | str:
        try:
            made: list[Outcome] | str = self.pipe.recv()
            return made
        except (EOFError, OSError):
            self.end()
        code = self.process.exitcode or 0
        if code > 0:  # an unexpected exception; its traceback is on stderr
            names = ", ".join(item.source.file_name for group in self.in_hand for item in group)
            raise HqsamError(
                f"a worker process failed (exit code {code}) at {names or 'startup'}", remedy="please report it"
            )
        raise WorkerDiedError(f"signal {-code}" if code else "it exited")

    def rest(self) -> Iterator[list[Outcome]]:
        """See `PoolWorker`."""
        self._send(None)
        with suppress(EOFError, OSError):
            while not isinstance(made := self.pipe.recv(), str):
                yield made

    def end(self) -> None:
        """See `PoolWorker`."""
        self.pipe.close()
        self.process.join(timeout=10)
        self.process.kill()


class _Arriving(Iterator[list[WorkItem]]):
    """Iterates over a batch and the queued batches that have arrived; can be iterated again for later ones."""

    def __init__(self, group: list[WorkItem], queue: SimpleQueue[list[WorkItem] | None]) -> None:
        self.group: list[WorkItem] | None = group
        self.queue = queue

    def __next__(self) -> list[WorkItem]:
        group, self.group = self.group, None
        if group is None and not self.queue.empty():
            group = self.queue.get()
        if group is None:
            raise StopIteration
        return group


def _serve(pipe: Connection, build: Callable[[], Worker], threads: int, torch_threads: int) -> None:
    """Process batches from a pipe until None arrives or the other end is closed."""
    for number in SIGNALS:  # the parent process stops it
        signal.signal(number, signal.SIG_IGN)
    import torch

    torch.set_num_threads(torch_threads)
    given: SimpleQueue[list[WorkItem] | None] = SimpleQueue()
    stop = Event()

    def receive() -> None:
        # On a separate thread: without reading while results are sent, both ends could deadlock.
        with suppress(EOFError, OSError):
            while (group := pipe.recv()) is not None:
                given.put(group)
        stop.set()
        given.put(None)

    Thread(target=receive, daemon=True).start()
    with suppress(OSError):
        try:
            engine = LocalEngine(build(), threads)
            pipe.send([])
            while not stop.is_set() and (group := given.get()) is not None:
                for made in engine.outcomes(_Arriving(group, given), stop.is_set):
                    pipe.send(made)
        except (HqsamError, MemoryError) as error:
            pipe.send(str(error) or "out of memory")
