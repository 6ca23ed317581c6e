"""Going over a data set once: photos are read ahead, each is scored once, and what is scored is kept.

Records go through the journal of `runs`, so an evaluation that was killed goes on where it stopped.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..batch.interrupt import Interrupt
from ..batch.journal import Journal, Origin
from ..configs import digest
from ..errors import HqsamError, ImageError, UsageError
from ..io.run_folder import JOURNAL

log = logging.getLogger(__name__)
READ_AHEAD = 4
Record = dict[str, Any]
T = TypeVar("T", bound="Named")
Loaded = TypeVar("Loaded")


class Named(Protocol):
    """One thing to score, known by its name in the data set."""

    @property
    def name(self) -> str: ...


@contextmanager
def open_journal(identity: dict[str, str], *, resume: bool) -> Iterator[Journal]:
    """The journal of an evaluation, in the user's cache and under the digest of all that its numbers depend on.

    Without `resume` it begins anew. It stays: whoever has all results removes it. Where there is no place for it, it is
    a temporary file, and there is nothing to resume.

    Raises:
        HqsamError: no place for it, though `resume` asks for one, or none for temporary files either.
    """
    with ExitStack() as stack:
        try:
            folder = _cache() / "hqsam" / "eval" / digest(*sorted(identity.items()))
            journal = Journal(folder / JOURNAL, identity, overwrite=not resume)
        except (HqsamError, RuntimeError) as error:
            if resume or isinstance(error, UsageError):
                raise
            log.warning("%s; scores are not kept for `resume`: set XDG_CACHE_HOME to keep them", _reason(error))
            try:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            except OSError:
                raise HqsamError("no place for temporary files: set TMPDIR to a folder that can be written") from None
            journal = Journal(folder / JOURNAL, identity, overwrite=True)
        stack.callback(journal.close)
        yield journal


def _cache() -> Path:
    """The user's folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _reason(error: Exception) -> str:
    return str(error).partition(";")[0]


def score_items(
    items: Sequence[T],
    load: Callable[[T], Loaded],
    score: Callable[[T, Loaded], Record],
    journal: Journal,
    on_record: Callable[[Record], None],
) -> list[Record]:
    """The record of each item, in their order; `{"file_name", "error", …}`.

    Args:
        load: reads an item, on a thread; an ImageError makes a record with that error and no scores.
        score: what the model makes of a loaded item.

    Raises:
        KeyboardInterrupt: after SIGINT or SIGTERM, when the record in hand is kept.
    """
    scored = {name for name, entry in journal.entries.items() if entry.error is None}
    to_do = [item for item in items if item.name not in scored]
    done = {item.name for item in to_do}
    for record in journal.records(item.name for item in items if item.name not in done):
        on_record(record)
    with ThreadPoolExecutor(READ_AHEAD) as pool, Interrupt() as interrupt:
        for item, future in _read_ahead(pool, to_do, load):
            record = {"file_name": item.name, "error": None}
            try:
                record |= score(item, future.result())
            except ImageError as error:
                record["error"] = str(error)
            journal.append([(Origin("scored"), record)])
            on_record(record)
            if interrupt.wanted:
                pool.shutdown(cancel_futures=True)
                raise KeyboardInterrupt
    return list(journal.records(item.name for item in items))


def _read_ahead(
    pool: ThreadPoolExecutor, items: Iterable[T], load: Callable[[T], Loaded]
) -> Iterator[tuple[T, Future[Loaded]]]:
    waiting: deque[tuple[T, Future[Loaded]]] = deque()
    for item in items:
        waiting.append((item, pool.submit(load, item)))
        if len(waiting) > READ_AHEAD:
            yield waiting.popleft()
    yield from waiting
