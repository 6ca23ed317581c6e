"""The journal of an output folder: which images are done, so that the same command resumes the run.

The first line is the run identity, see `configs`; then each image has a line with its record, path, and a fingerprint
of its pixels and prompts, appended after its outputs are written. The last line of a file name counts. Further lines
record when a command began and ended (for `hqsam status`), deleted images, and images with a new modification time but
the same content.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, field, replace
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from ..configs import changes
from ..configs.run_identity import FORM, REVISION, fixed
from ..errors import HqsamError, UsageError
from ..formats.coco import json_line
from ..records import Category, Failure, ImageRecord
from .lock import is_gone, lock, start_of


class Entry(NamedTuple):
    """State of an image.

    Attributes:
        fingerprint: of its pixels and prompts.
        path: of the image.
        failure: why it failed, or None.
        lost: number of its prompts, or parts of them, that did not fit it.
        results: number of its masks or boxes.
        offset: of its record in the file.
        identity: of the command that redid it; empty if none did.
    """

    fingerprint: str
    path: str
    failure: Failure | None
    lost: int
    results: int
    offset: int
    identity: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """Start of a command.

    Attributes:
        images: number of images; `done` and `failed` count those of earlier runs, which are not processed again.
        others: how many of all these are not among the inputs of this command.
        inputs: digest of the names of all input images, including other shards.
        categories: COCO categories of the results.
        identity: of this command, if it redoes images of a run; else empty.
        began: ISO 8601, UTC.
        host, process, start: where it runs; see `lock.start_of`.
    """

    images: int
    done: int = 0
    failed: int = 0
    others: int = 0
    inputs: str = ""
    categories: list[Category] = field(default_factory=list)
    identity: dict[str, str] = field(default_factory=dict)
    began: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    host: str = field(default_factory=socket.gethostname)
    process: int = field(default_factory=os.getpid)
    start: str = field(default_factory=lambda: start_of(os.getpid()))

    @property
    def is_gone(self) -> bool:
        """Whether its process ran on this machine and has ended."""
        return is_gone(f"{self.host} {self.process} {self.start}")


@dataclass(slots=True)
class Contents:
    """Contents of a journal.

    Attributes:
        identity, info: of the first run.
        entries: by file name.
        last: start of the last command.
        outcome: of the last command: `finished`, `interrupted`, or `stopped` by too many failures; None if it is still
            running, or was killed.
        done, failed: number of images since then.
        end: offset of the end of the last complete line when it was read.
        path: of the file.
    """

    path: Path = Path()
    identity: dict[str, str] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    last: Beginning | None = None
    outcome: str | None = None
    done: int = 0
    failed: int = 0
    end: int = 0

    @property
    def categories(self) -> list[Category]:
        """Categories of the results of the last command."""
        return [] if self.last is None else self.last.categories

    def known_categories(self, *, redo: bool) -> list[Category]:
        """Categories to which those of the next command are matched by name: of an output with redone images.

        Args:
            redo: the next command redoes images.
        """
        return self.categories if redo or any(entry.identity for entry in self.entries.values()) else []

    def take(self, line: dict[str, Any], offset: int = 0) -> None:
        """Apply a line after the first; that of an image begins at an offset."""
        if "began" in line:
            self.last, self.outcome, self.done, self.failed = Beginning(**{"start": "", **line["began"]}), None, 0, 0
        elif "outcome" in line:
            self.outcome = line["outcome"]
        elif "forgotten" in line:
            self.entries.pop(line["forgotten"], None)
        elif "touched" in line:
            self.entries[line["touched"]] = self.entries[line["touched"]]._replace(fingerprint=line["fingerprint"])
        else:
            self.add(ImageRecord.from_dict(line), offset)

    def add(self, record: ImageRecord, offset: int) -> None:
        """Add an image, whose line begins at an offset."""
        origin, results = record.origin, len(record.annotations)
        identity = {} if self.last is None else self.last.identity
        entry = Entry(origin.fingerprint, record.path, record.failure, origin.lost, results, offset, identity)
        self.entries[record.file_name] = entry
        self.done += entry.failure is None
        self.failed += entry.failure is not None

    def records(self, file_names: Iterable[str] | None = None) -> Iterator[ImageRecord]:
        """Yield the records of images from the file, in the order of the names, skipping names without one.

        Args:
            file_names: None for all images, in the order of the run.
        """
        with open(self.path, "rb") as file:
            for name in list(self.entries) if file_names is None else file_names:
                if name in self.entries:
                    file.seek(self.entries[name].offset)
                    record = ImageRecord.from_dict(json.loads(file.readline()))
                    yield replace(record, origin=record.origin._replace(fingerprint=self.entries[name].fingerprint))


class Journal:
    """An open, locked journal. Keeps an `Entry` per file name in memory, not the records.

    Args:
        path: journal file; its folder is created if needed.
        identity: everything results depend on, by option; see `configs.run_identity`.
        overwrite: discard earlier runs.
        redo: the earlier run may have other options; see `check_identity`.
        info: model, command and date; those of the first run are kept.
        named: name in messages, if not the path.

    Attributes:
        contents: those of earlier commands, and what was appended since.
        former: entries of the overwritten run.

    Raises:
        UsageError: the earlier run had another identity.
        HqsamError: the file cannot be written, is locked by another run, or is not a journal.
    """

    def __init__(
        self,
        path: Path,
        identity: dict[str, str],
        *,
        overwrite: bool,
        redo: bool = False,
        info: Mapping[str, Any] | None = None,
        named: str | None = None,
    ) -> None:
        self.path, self._named = path, named
        self.info = dict(info or {})
        self.former: Mapping[str, Entry] = {}
        self._former_file: IO[bytes] | None = None
        self.contents = Contents()
        self._lock_file: Path | None = None
        self._file = self._locked()
        try:
            if overwrite:
                with suppress(HqsamError):  # it may be damaged, and is discarded anyway
                    self._keep_former()
                self._clear()
            self._read(identity, redo=redo)
        except BaseException:
            self.close()
            raise

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The entries by file name."""
        return self.contents.entries

    @property
    def categories(self) -> list[Category]:
        """Categories of the results of the last command."""
        return self.contents.categories

    def _keep_former(self) -> None:
        self.former = read_journal(self.path).entries
        self._former_file = TemporaryFile()  # noqa: SIM115 - read as long as the run
        with open(self.path, "rb") as file:
            shutil.copyfileobj(file, self._former_file)

    def _clear(self) -> None:
        self._file.truncate(0)

    def close(self) -> None:
        """Close the file and release the lock."""
        if self._former_file is not None:
            self._former_file.close()
        self._file.close()
        if self._lock_file is not None:
            self._lock_file.unlink(missing_ok=True)

    def begin(self, beginning: Beginning) -> None:
        """Record the start of a command."""
        self._note({"began": asdict(beginning)})

    def append(self, records: Sequence[ImageRecord]) -> None:
        """Record images whose outputs are written; synced to disk on return."""
        lines = list[bytes]()
        for record in records:
            line = {**record.origin._asdict(), "path": record.path, **record.to_dict()}
            lines.append(json_line(line if record.failure is None else {**line, "failure": astuple(record.failure)}))
        end = self._file.seek(0, os.SEEK_END)
        self._write(b"".join(lines))
        for record, written in zip(records, lines, strict=True):
            self.contents.add(record, end)
            end += len(written)

    def forget(self, file_names: Iterable[str]) -> None:
        """Record that images were deleted with their results."""
        self._note(*({"forgotten": name} for name in file_names))

    def touch(self, fingerprints: Mapping[str, str]) -> None:
        """Record new fingerprints of images with a new modification time but the same content."""
        self._note(*({"touched": name, "fingerprint": own} for name, own in fingerprints.items()))

    def end(self, outcome: str) -> None:
        """Record the outcome of the command; see `Contents`."""
        self._note({"outcome": outcome})

    def _note(self, *lines: dict[str, Any]) -> None:
        """Append lines other than those of images."""
        self._write(b"".join(map(json_line, lines)))
        for line in lines:
            self.contents.take(line)

    def noted(self, file_name: str) -> frozenset[str] | None:
        """Digests of the files written for an image; None if unknown.

        A journaled image without digests has no files.
        """
        if file_name in self.entries:
            with open(self.path, "rb") as file:
                return _noted(file, self.entries[file_name]) or frozenset()
        if self._former_file is not None and file_name in self.former:
            return _noted(self._former_file, self.former[file_name])
        return None

    def _locked(self) -> FileIO:
        """Open and lock the file. Unbuffered, so that closing does not repeat a failed write on a full disk."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = open(self.path, "a+b", buffering=0)  # noqa: SIM115 - open, and locked, as long as the run
        except OSError as error:
            raise cannot_write(self.path, error) from None
        try:
            self._lock_file = lock(file, self.path)
        except OSError as error:
            file.close()
            raise cannot_write(self.path, error) from None
        except HqsamError:
            file.close()
            raise
        return file

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def _read(self, identity: dict[str, str], *, redo: bool) -> None:
        """Index the lines, truncate an incomplete last one, and write the first line of an empty file."""
        self.contents = read_journal(self.path, identity, redo=redo, named=self._named)
        self._file.truncate(self.contents.end)
        if self.contents.end == 0:
            self._write(json_line({"identity": identity, "info": self.info}))
            self.contents.identity = identity
        else:
            self.info = self.contents.info


def read_journal(
    path: Path, identity: dict[str, str] | None = None, *, redo: bool = False, named: str | None = None
) -> Contents:
    """Read a journal; empty contents if there is none.

    Args:
        identity: the expected identity.
        redo, named: as in `Journal`.

    Raises:
        UsageError: the earlier run had another identity.
        HqsamError: the file is not a journal, or cannot be read.
    """
    contents = Contents(path)
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                try:
                    record = json.loads(line)
                    if number:
                        contents.take(record, contents.end)
                    else:
                        contents.identity, contents.info = record["identity"], record.get("info", {})
                        if identity is not None:
                            check_identity(named or path.parent, contents, identity, redo=redo)
                except (ValueError, KeyError, TypeError, AttributeError):
                    reason = f"line {number + 1} is not a journal entry"
                    raise HqsamError(reason, file=named or path, remedy="pass `overwrite` to start over") from None
                contents.end += len(line)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise cannot_write(path, error) from None
    return contents


def with_results(entries: Mapping[str, Entry]) -> list[str]:
    """Names of the images that did not fail."""
    return [name for name, entry in entries.items() if entry.failure is None]


def _noted(file: IO[bytes], entry: Entry) -> frozenset[str] | None:
    file.seek(entry.offset)
    files = json.loads(file.readline()).get("files")
    return None if files is None else frozenset(files.split())


def check_identity(place: Path | str, contents: Contents, identity: dict[str, str], *, redo: bool = False) -> None:
    """Raise a UsageError if the results in an output have another identity.

    Args:
        redo: the command makes images again with other options, so that only what all images share is compared.
    """
    before, now = (fixed(contents.identity), fixed(identity)) if redo else (contents.identity, identity)
    if redo and before.get("shard") != now.get("shard"):
        raise UsageError(
            f"{place} is the output of a shard", remedy="merge the shards, and redo images of their output"
        )
    if changed := changes(before, now):
        command = contents.info.get("command")
        made = f", made by: {command}" if command else ""
        earlier = any(text.startswith(REVISION) for text in changed)
        version = "continue with the version of hqsam that wrote them, " if earlier else ""
        again = "" if changes(fixed(before), fixed(now)) else "`redo` to process only the given images again, "
        only_form = all(text.startswith(tuple(f"`{name}`" for name in FORM)) for text in changed)
        convert = f"; hqsam results convert {place} writes these results as other labels" if only_form else ""
        raise UsageError(
            f"{place} contains results of another run ({'; '.join(changed)}{made})",
            remedy=f"{version}pass {again}`overwrite` to start over, or choose another `output`{convert}",
        )


def cannot_write(path: Path | str, error: OSError) -> HqsamError:
    """Fatal error of an output that cannot be written."""
    return HqsamError(
        f"cannot be written ({error.strerror})",
        file=error.filename or path,
        remedy="fix that and run the same command again to continue, or choose another `output`",
    )
