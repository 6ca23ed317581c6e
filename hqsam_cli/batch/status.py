"""How far a run is, read off its journal while it goes on or after it."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from ..errors import HqsamError, UsageError
from ..io.addresses import is_address
from ..io.run_folder import JOURNAL, JOURNAL_FOLDER
from ..records import Failure
from .journal import Contents, Entry, read_journal
from .object_journal import has_journal, local_journal


@dataclass(frozen=True, slots=True)
class Reason:
    """Why images failed.

    Attributes:
        reason, remedy: what is wrong, and what to do.
        images: how many.
        first: name of the first of them.
    """

    reason: str
    remedy: str
    images: int
    first: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """Where a run stands.

    Attributes:
        state: `running`, `finished`, `interrupted`, `stopped` by failures, `killed`, or `on HOST` where only that
            machine knows whether it runs.
        images: those of the last command; `done`, `failed` and `left` add up to it.
        results: masks or boxes.
        rate: images a second of the last command, None before the first.
        seconds_left: at that rate, None where nobody works on it.
        reasons: why images failed, the most frequent first.
        command, date_created: of the run that began the journal.
    """

    state: str
    images: int
    done: int
    failed: int
    left: int
    results: int
    rate: float | None
    seconds_left: float | None
    reasons: list[Reason] = field(default_factory=list)
    command: str | None = None
    date_created: str | None = None


def read_status(output: Path | str) -> RunStatus:
    """The status of the run that writes an output.

    Args:
        output: the folder, the file of boxes that `hqsam detect` writes or the folder of one, or a journal; or the
            address of any but the folder of a file.

    Raises:
        UsageError: no run has filled it, or it is one of the files that a run wrote into its folder.
        HqsamError: the journal cannot be read, or is none.
    """
    path = _journal_of(str(output))
    try:
        contents = read_journal(path, named=str(output))
    except HqsamError:
        if path != Path(output) or path.name.endswith(JOURNAL):
            raise
        raise UsageError("is no journal of a run", file=output, remedy="give the folder that the run wrote") from None
    if not contents.identity:
        raise UsageError("no run has written here", file=output, remedy="give the --output of a run")
    last = contents.last
    entries = contents.entries.values()
    done = contents.done + (last.done if last else 0)
    failed = contents.failed + (last.failed if last else 0)
    images = last.images if last else len(entries)
    left = max(images - done - failed, 0)
    state = _state(contents)
    rate = _rate(contents, path)
    return RunStatus(
        state=state,
        images=images,
        done=done,
        failed=failed,
        left=left,
        results=sum(entry.results for entry in entries if entry.failure is None),
        rate=rate,
        seconds_left=left / rate if rate and state == "running" else None,
        reasons=list(_reasons(contents.entries)),
        command=contents.info.get("command"),
        date_created=contents.info.get("date_created"),
    )


def _journal_of(output: str) -> Path:
    """The journal of an output, or a copy of it."""
    if is_address(output):
        address = output.rstrip("/")
        places = [f"{address}/{JOURNAL_FOLDER}", f"{address}.{JOURNAL_FOLDER}", address]
        if "/" not in address.partition("://")[2]:  # a bucket, beside which there are only others' buckets
            del places[1]
        return local_journal(next(filter(has_journal, places), places[0]))
    path = Path(output)
    beside = path.with_name(f"{path.name}.{JOURNAL}")
    of_files = list(path.glob(f"*.{JOURNAL}"))  # of a folder that holds one file of boxes
    found = [place for place in (beside, path, path / JOURNAL) if place.is_file()] + of_files[: len(of_files) == 1]
    return found[0] if found else _journal_of(f"file://{path.absolute()}")  # a copy of what was at an address


def _state(contents: Contents) -> str:
    last = contents.last
    if contents.outcome is not None or last is None:
        return contents.outcome or "killed"
    if last.host != socket.gethostname():
        return f"on {last.host}"
    return "killed" if last.is_gone else "running"


def _rate(contents: Contents, path: Path) -> float | None:
    """Images a second from the beginning of the last command to its last word."""
    count = contents.done + contents.failed
    if contents.last is None or not count:
        return None
    seconds = path.stat().st_mtime - datetime.fromisoformat(contents.last.began).timestamp()
    return count / max(seconds, 1.0)  # beginnings are noted in whole seconds


def _reasons(entries: dict[str, Entry]) -> Iterator[Reason]:
    first: dict[Failure, str] = {}
    counts: Counter[Failure] = Counter()
    for name, entry in entries.items():
        if entry.failure is not None:
            failure = replace(entry.failure, path="", detail="")
            counts[failure] += 1
            first.setdefault(failure, name)
    for failure, count in counts.most_common():
        yield Reason(failure.reason, failure.remedy, count, first[failure])
