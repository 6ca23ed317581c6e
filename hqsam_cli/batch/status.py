"""Progress of a run, read from its journal."""

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
        reason, remedy: the error, and what to do.
        images: number of images.
        first: name of the first image.
    """

    reason: str
    remedy: str
    images: int
    first: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """Progress of a run.

    Attributes:
        state: `running`, `finished`, `interrupted`, `stopped` by failures, `killed`, or `on HOST` if only that machine
            knows whether it runs.
        images: those of all commands on the output; `done`, `failed` and `left` add up to it.
        results: number of masks or boxes.
        rate: images per second of the last command, None before the first.
        seconds_left: at that rate, None if it is not running.
        reasons: why images failed, the most frequent first.
        command, date_created: of the run that created the journal.
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
    """Read the status of the run that writes an output.

    Args:
        output: an output folder, a box file or its folder, or a journal; or a URL, except of a box file's folder.

    Raises:
        UsageError: not the output of a run, or a single file in it.
        HqsamError: the journal cannot be read, or is invalid.
    """
    path = _journal_of(str(output))
    try:
        contents = read_journal(path, named=str(output))
    except HqsamError:
        if path != Path(output) or path.name.endswith(JOURNAL):
            raise
        raise UsageError("not a journal", file=output, remedy="pass the output folder of a run") from None
    if not contents.identity:
        raise UsageError("not the output of a run", file=output, remedy="pass the --output of a run")
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
    """Return the journal of an output, or a local copy of it."""
    if is_address(output):
        address = output.rstrip("/")
        places = [f"{address}/{JOURNAL_FOLDER}", f"{address}.{JOURNAL_FOLDER}", address]
        if "/" not in address.partition("://")[2]:  # a bucket, which has no siblings
            del places[1]
        return local_journal(next(filter(has_journal, places), places[0]))
    path = Path(output)
    beside = path.with_name(f"{path.name}.{JOURNAL}")
    of_files = list(path.glob(f"*.{JOURNAL}"))  # a folder with one box file
    found = [place for place in (beside, path, path / JOURNAL) if place.is_file()] + of_files[: len(of_files) == 1]
    return found[0] if found else _journal_of(f"file://{path.absolute()}")  # a copy of an output at a URL


def _state(contents: Contents) -> str:
    last = contents.last
    if contents.outcome is not None or last is None:
        return contents.outcome or "killed"
    if last.host != socket.gethostname():
        return f"on {last.host}"
    return "killed" if last.is_gone else "running"


def _rate(contents: Contents, path: Path) -> float | None:
    """Images per second, from the start of the last command to its last line."""
    count = contents.done + contents.failed
    if contents.last is None or not count:
        return None
    seconds = path.stat().st_mtime - datetime.fromisoformat(contents.last.began).timestamp()
    return count / max(seconds, 1.0)  # start times are recorded in whole seconds


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
