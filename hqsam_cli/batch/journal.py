"""The journal of an output folder: what is done, so that the same command continues after anything.

A journal begins with a line of the identity of the run, see `configs`; then comes one line an image, its whole record,
appended after its outputs are in place. The last line of a file name counts. Beside the record stand the path of the
image, and a fingerprint of what its results depend on and the identity does not say. Lines between them say when a
command began and ended, for those who ask how far it is, which images were forgotten because they are gone, and which
have another time stamp and the same content.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass, field
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, NamedTuple

from ..configs import changes
from ..errors import HqsamError, UsageError
from ..formats.annotations import json_line
from ..records import Category, Failure, ImageRecord
from .lock import is_gone, lock, start_of


class Origin(NamedTuple):
    """What an image's results were made of.

    Attributes:
        fingerprint, lost: as in `Entry`.
        seconds: that each stage took.
        files: digests of the files that were written, see `ownership.digest_of`; None in journals of before.
    """

    fingerprint: str
    lost: int = 0
    seconds: Mapping[str, float] | None = None
    files: str | None = None


class Entry(NamedTuple):
    """What is known of an image.

    Attributes:
        fingerprint: of what its outputs were made of.
        path: of the image.
        failure: why it failed, or None.
        lost: how many of its prompts, or parts of them, did not fit it.
        results: how many masks or boxes it has.
        offset: of its record in the file.
    """

    fingerprint: str
    path: str
    failure: Failure | None
    lost: int
    results: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What a command says when it begins.

    Attributes:
        images: how many it is about; `done` and `failed` of them were so before and are left as they are.
        inputs: digest of the names of all images of the inputs, those of other shards among them.
        categories: COCO categories of the results.
        began: ISO 8601, UTC.
        host, process, start: where it runs; see `lock.start_of`.
    """

    images: int
    done: int = 0
    failed: int = 0
    inputs: str = ""
    categories: list[Category] = field(default_factory=list)
    began: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    host: str = field(default_factory=socket.gethostname)
    process: int = field(default_factory=os.getpid)
    start: str = field(default_factory=lambda: start_of(os.getpid()))

    @property
    def is_gone(self) -> bool:
        """Whether its process ran on this machine and does not any more."""
        return is_gone(f"{self.host} {self.process} {self.start}")


@dataclass(slots=True)
class Contents:
    """What a journal says.

    Attributes:
        identity, info: of the run that began it.
        entries: by file name.
        last: what the last command said when it began.
        outcome: how that ended: `finished`, `interrupted`, or `stopped` by too many failures; None if it still runs, or
            was killed.
        done, failed: images since then.
        end: where whole lines end.
    """

    identity: dict[str, str] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    entries: dict[str, Entry] = field(default_factory=dict)
    last: Beginning | None = None
    outcome: str | None = None
    done: int = 0
    failed: int = 0
    end: int = 0

    def take(self, line: dict[str, Any], offset: int) -> None:
        """Take up a line that is not the first."""
        if "began" in line:
            self.last, self.outcome, self.done, self.failed = Beginning(**{"start": "", **line["began"]}), None, 0, 0
        elif "outcome" in line:
            self.outcome = line["outcome"]
        elif "forgotten" in line:
            self.entries.pop(line["forgotten"], None)
        elif "touched" in line:
            self.entries[line["touched"]] = self.entries[line["touched"]]._replace(fingerprint=line["fingerprint"])
        else:
            record = ImageRecord.from_dict(line)
            results = len(record.annotations)
            entry = Entry(line["fingerprint"], record.path, record.failure, line["lost"], results, offset)
            self.entries[record.file_name] = entry
            self.done += entry.failure is None
            self.failed += entry.failure is not None


class Journal:
    """An open, locked journal. Holds an `Entry` a file name, not the records.

    Args:
        path: of the file; its folder is made if need be.
        identity: everything results depend on, by the option that says it; see `configs.run_identity`.
        overwrite: forget what an earlier run did.
        info: what made the results, for those who read them; the run that began the journal counts.
        named: what people know it by, where that is not the path.

    Attributes:
        former: what was known of the images of the run that is overwritten.

    Raises:
        UsageError: the earlier run had another identity.
        HqsamError: the file cannot be written, another run has it, or it is no journal.
    """

    def __init__(
        self,
        path: Path,
        identity: dict[str, str],
        *,
        overwrite: bool,
        info: Mapping[str, Any] | None = None,
        named: str | None = None,
    ) -> None:
        self.path, self._named = path, named
        self.info = dict(info or {})
        self.former: Mapping[str, Entry] = {}
        self._former_file: IO[bytes] | None = None
        self._contents = Contents()
        self._lock_file: Path | None = None
        self._file = self._locked()
        try:
            if overwrite:
                with suppress(HqsamError):  # it may be damaged, which is why it is to be forgotten
                    self._keep_former()
                self._clear()
            self._read(identity)
        except BaseException:
            self.close()
            raise

    @property
    def entries(self) -> Mapping[str, Entry]:
        """What is known of the images."""
        return self._contents.entries

    @property
    def categories(self) -> list[Category]:
        """Of the results, as the last command had them."""
        return [] if self._contents.last is None else self._contents.last.categories

    def _keep_former(self) -> None:
        self.former = read_journal(self.path).entries
        self._former_file = TemporaryFile()  # noqa: SIM115 - read as long as the run
        with open(self.path, "rb") as file:
            shutil.copyfileobj(file, self._former_file)

    def _clear(self) -> None:
        self._file.truncate(0)

    def close(self) -> None:
        """Give the lock back."""
        if self._former_file is not None:
            self._former_file.close()
        self._file.close()
        if self._lock_file is not None:
            self._lock_file.unlink(missing_ok=True)

    def begin(self, beginning: Beginning) -> None:
        """Note that a command begins."""
        self._append([{"began": asdict(beginning)}])

    def append(self, records: Iterable[tuple[Origin, ImageRecord]]) -> None:
        """Note origins and records of images whose outputs are in place; on disk when this returns."""
        self._append([_line(origin, record) for origin, record in records])

    def forget(self, file_names: Iterable[str]) -> None:
        """Note that images are gone, and with them their results."""
        self._append([{"forgotten": name} for name in file_names])

    def touch(self, fingerprints: Mapping[str, str]) -> None:
        """Note the fingerprints of images whose files were touched and are what they were."""
        self._append([{"touched": name, "fingerprint": own} for name, own in fingerprints.items()])

    def end(self, outcome: str) -> None:
        """Note how the command ended; see `Contents`."""
        self._append([{"outcome": outcome}])

    def _append(self, entries: list[dict[str, Any]]) -> None:
        end = self._file.seek(0, os.SEEK_END)
        lines = [json_line(entry) for entry in entries]
        self._write(b"".join(lines))
        for entry, line in zip(entries, lines, strict=True):
            self._contents.take(entry, end)
            end += len(line)

    def records(self, file_names: Iterable[str]) -> Iterator[ImageRecord]:
        """The records of images, in the order of the names; names without one are left out."""
        return (record for _, record in read_records(self.path, self.entries, file_names))

    def noted(self, file_name: str) -> frozenset[str] | None:
        """Digests of the files that were written of an image; None where nothing is known of them.

        Of an image that is in this journal it is known that there are none, if the journal does not say which.
        """
        if file_name in self.entries:
            with open(self.path, "rb") as file:
                return _noted(file, self.entries[file_name]) or frozenset()
        if self._former_file is not None and file_name in self.former:
            return _noted(self._former_file, self.former[file_name])
        return None

    def _locked(self) -> FileIO:
        """The journal's file. Unbuffered: what a full disk refuses must not be tried again when it is closed."""
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

    def _read(self, identity: dict[str, str]) -> None:
        """Index the lines there are, cut off a torn last one, and begin a file that has none."""
        self._contents = read_journal(self.path, identity, named=self._named)
        self._file.truncate(self._contents.end)
        if self._contents.end == 0:
            self._write(json_line({"identity": identity, "info": self.info}))
        else:
            self.info = self._contents.info


def read_journal(path: Path, identity: dict[str, str] | None = None, *, named: str | None = None) -> Contents:
    """What a journal says; nothing where there is none.

    Args:
        identity: what the run must have been.
        named: as in `Journal`.

    Raises:
        UsageError: the earlier run had another identity.
        HqsamError: the file is no journal, or cannot be read.
    """
    contents = Contents()
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
                            _check(named or path.parent, contents, identity)
                except (ValueError, KeyError, TypeError, AttributeError):
                    reason = f"line {number + 1} is not of a journal"
                    raise HqsamError(reason, file=named or path, remedy="pass `overwrite` to start again") from None
                contents.end += len(line)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise cannot_write(path, error) from None
    return contents


def with_results(entries: Mapping[str, Entry]) -> list[str]:
    """The images that did not fail."""
    return [name for name, entry in entries.items() if entry.failure is None]


def read_records(
    path: Path, entries: Mapping[str, Entry], file_names: Iterable[str]
) -> Iterator[tuple[Origin, ImageRecord]]:
    """Origins and records that a journal has of images, in the order of the names; names without one are left out."""
    with open(path, "rb") as file:
        for name in file_names:
            if name in entries:
                file.seek(entries[name].offset)
                line = json.loads(file.readline())
                origin = Origin(**{field: line[field] for field in Origin._fields if field in line})
                yield origin._replace(fingerprint=entries[name].fingerprint), ImageRecord.from_dict(line)


def _noted(file: IO[bytes], entry: Entry) -> frozenset[str] | None:
    file.seek(entry.offset)
    files = json.loads(file.readline()).get("files")
    return None if files is None else frozenset(files.split())


def _check(place: Path | str, contents: Contents, identity: dict[str, str]) -> None:
    if changed := changes(contents.identity, identity):
        command = contents.info.get("command")
        made = f", made by: {command}" if command else ""
        raise UsageError(
            f"{place} holds results of another run ({'; '.join(changed)}{made})",
            remedy="pass `overwrite` to start again, or choose another `output`",
        )


def _line(origin: Origin, record: ImageRecord) -> dict[str, Any]:
    line = {**origin._asdict(), "path": record.path, **record.to_dict()}
    return line if record.failure is None else {**line, "failure": astuple(record.failure)}


def cannot_write(path: Path | str, error: OSError) -> HqsamError:
    """The fatal error of an output that cannot be written."""
    return HqsamError(
        f"cannot be written ({error.strerror})",
        file=error.filename or path,
        remedy="fix that and run the same command, which continues, or choose another `output`",
    )
