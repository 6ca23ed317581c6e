"""Work in processes of this machine, one a device and each with models of its own; the journal is kept here alone.

A process works as `LocalEngine` does: it decodes ahead and writes behind, so its device does not wait. Outputs are
atomic and the same whoever makes them, so what a process had in hand when it was killed is done again by its successor.
"""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

import torch

from ..errors import HqsamError
from .local import GROUPS_AHEAD, LocalEngine
from .work import Asked, Outcome, Worker

if TYPE_CHECKING:
    from multiprocessing.synchronize import Event

# In hand of a process: what it decodes ahead, what it writes behind, and one more, so that it is never out of work.
MOST_IN_HAND = 2 * GROUPS_AHEAD + 1
MOST_DEATHS = 3  # of a process and its successors, one after the other, without a result between


class ProcessEngine:
    """See `Engine`; groups come as they are done.

    Args:
        builds: make what works on images, one in each process; called there.
        threads: that decode, and as many that write, in each process.
    """

    def __init__(self, builds: Sequence[Callable[[], Worker]], threads: int) -> None:
        self.builds, self.threads = builds, threads

    def outcomes(
        self, groups: Iterator[list[Asked]], stopped: Callable[[], bool]
    ) -> Generator[list[Outcome], None, None]:
        """See `Engine`."""
        stop = get_context("spawn").Event()
        members = [_Member(build, self.threads, stop) for build in self.builds]
        try:
            while not stopped():
                for member in members:
                    while member.wants_more:
                        member.give(next(groups, None))
                at_work = [member for member in members if member.in_hand]
                if not at_work:
                    return
                ready = wait([member.pipe for member in at_work])
                for member in at_work:
                    if member.pipe in ready and (made := member.take()) is not None:
                        yield made
            stop.set()  # what is made is written and noted
            for member in members:
                yield from member.rest()
        finally:
            stop.set()
            for member in members:
                member.end()


class _Member:
    """A process, and after its death the next one; groups come back in the order in which they were given."""

    def __init__(self, build: Callable[[], Worker], threads: int, stop: Event) -> None:
        self.arguments = build, threads, torch.get_num_threads(), stop
        self.in_hand: deque[list[Asked]] = deque()
        self.knows_all = False
        self.deaths = 0
        self._start()

    @property
    def wants_more(self) -> bool:
        """Whether it is to be given something."""
        return not self.knows_all and len(self.in_hand) < MOST_IN_HAND

    def _start(self) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, *self.arguments), daemon=True)
        self.process.start()
        theirs.close()  # else its death would not be seen here

    def give(self, group: list[Asked] | None) -> None:
        """Have a group worked on; None says that there are no more, for which it would wait."""
        if group is None:
            self.knows_all = True
        else:
            self.in_hand.append(group)
        self._send(group)

    def take(self) -> list[Outcome] | None:
        """What became of the first group in hand; None where the process died and the next one was given all anew.

        Raises:
            HqsamError: what is wrong with all images, or its processes die one after the other.
        """
        try:
            made: list[Outcome] | str = self.pipe.recv()
        except (EOFError, OSError):
            self._replace()
            return None
        if isinstance(made, str):
            raise HqsamError(made)
        self.in_hand.popleft()
        self.deaths = 0
        return made

    def rest(self) -> Iterator[list[Outcome]]:
        """What it has made, when no more is wanted."""
        self.give(None)
        with suppress(EOFError, OSError):
            while not isinstance(made := self.pipe.recv(), str):
                yield made

    def end(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.join(timeout=10)
        self.process.kill()

    def _replace(self) -> None:
        self.pipe.close()
        self.process.join()
        self.deaths += 1
        code = self.process.exitcode or 0
        names = ", ".join(asked.source.file_name for asked in self.in_hand[0])
        if code > 0 or self.deaths == MOST_DEATHS:
            why = f"signal {-code}" if code < 0 else f"exit code {code}"
            raise HqsamError(
                f"a process died ({why}) at {names} or the next images",
                remedy="leave out what kills it, or see whether there is memory enough; the same command continues",
            )
        self._start()
        for group in [*self.in_hand, *([None] if self.knows_all else [])]:
            self._send(group)

    def _send(self, group: list[Asked] | None) -> None:
        with suppress(OSError):  # it is dead, which is seen when something is taken
            self.pipe.send(group)


def _serve(pipe: Connection, build: Callable[[], Worker], threads: int, torch_threads: int, stop: Event) -> None:
    """Work on the groups that come through a pipe until there are no more, or nobody is at its other end."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the process that gives out work ends it
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(torch_threads)
    given: SimpleQueue[list[Asked] | None] = SimpleQueue()

    def receive() -> None:
        # On a thread of its own: were nobody to read while results are sent, either end could wait for the other.
        with suppress(EOFError, OSError):
            while (group := pipe.recv()) is not None:
                given.put(group)
        given.put(None)

    Thread(target=receive, daemon=True).start()
    with suppress(OSError):
        try:
            for made in LocalEngine(build(), threads).outcomes(iter(given.get, None), stop.is_set):
                pipe.send(made)
        except (HqsamError, MemoryError) as error:
            pipe.send(str(error) or "out of memory")
