"""Processing in this process: threads decode ahead and write behind while the model runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from .steps import DecodedImage
from .work import Outcome, Worker, WorkItem

GROUPS_AHEAD = 2  # decoded before the model; the same number may be written after it


class LocalEngine:
    """See `Engine`; batches are returned in order.

    Args:
        threads: number of decoding threads, and of writing threads.
    """

    def __init__(self, worker: Worker, threads: int) -> None:
        self.worker, self.threads = worker, threads

    def outcomes(
        self, groups: Iterator[list[WorkItem]], stopped: Callable[[], bool]
    ) -> Generator[list[Outcome], None, None]:
        """See `Engine`."""
        waiting: deque[list[Future[DecodedImage]]] = deque()
        writing: deque[list[Future[Outcome]]] = deque()
        decoders = ThreadPoolExecutor(self.threads, "decode")
        writers = ThreadPoolExecutor(self.threads, "write")
        try:
            while True:
                while len(waiting) < GROUPS_AHEAD and (group := next(groups, None)) is not None:
                    waiting.append([decoders.submit(self.worker.decode, item) for item in group])
                if not waiting or stopped():
                    break
                ready = [future.result() for future in waiting.popleft()]
                made = self.worker.results(ready)
                pairs = zip(ready, made, strict=True)
                writing.append([writers.submit(self.worker.write, item, own) for item, own in pairs])
                del ready, made, pairs
                # Written images are recorded immediately: a crash loses little, and a full disk stops the run early.
                while writing and (len(writing) > GROUPS_AHEAD or all(future.done() for future in writing[0])):
                    yield [future.result() for future in writing.popleft()]
            while writing:
                yield [future.result() for future in writing.popleft()]
        finally:
            decoders.shutdown(cancel_futures=True)
            writers.shutdown(cancel_futures=True)
