"""The journal of an output folder: what is done, so that the same command continues after anything.

A journal begins with a line of the identity of the run, see `configs`; then comes one line an image, its whole record,
appended after its outputs are in place. The last line of a file name counts. Beside the record stand the path of the
image, and a fingerprint of what its results depend on and the identity does not say.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from ..configs import JOURNAL, changes
from ..errors import HqsamError, UsageError
from ..formats.annotations import json_line
from .lock import lock


class Origin(NamedTuple):
    """What an image's results were made of.

    Attributes:
        fingerprint, path, lost: as in `Entry`.
        seconds: that each stage took.
    """

    fingerprint: str
    path: str = ""
    lost: int = 0
    seconds: Mapping[str, float] | None = None


__all__ = ["JOURNAL", "Entry", "Journal", "Origin", "cannot_write", "read_entries"]


class Entry(NamedTuple):
    """What is known of an image.

    Attributes:
        fingerprint: of what its outputs were made of; None where they are not in place, or it failed.
        path: of the image.
        lost: how many of its prompts, or parts of them, did not fit it.
        results: how many masks or boxes it has.
        offset: of its record in the file.
    """

    fingerprint: str | None
    path: str
    lost: int
    results: int
    offset: int


class Journal:
    """An open, locked journal. Holds an `Entry` a file name, not the records.

    Args:
        path: of the file; its folder is made if need be.
        identity: everything results depend on, by the option that says it; see `configs.identity`.
        overwrite: forget what an earlier run did.
        info: what made the results, for those who read them; the run that began the journal counts.

    Attributes:
        entries: by file name.

    Raises:
        UsageError: the earlier run had another identity.
        HqsamError: the file cannot be written, another run has it, or it is no journal.
    """

    def __init__(
        self, path: Path, identity: dict[str, str], *, overwrite: bool, info: Mapping[str, Any] | None = None
    ) -> None:
        self.path = path
        self.info = dict(info or {})
        self.entries: dict[str, Entry] = {}
        self._lock_file: Path | None = None
        self._file = self._locked()
        try:
            if overwrite:
                self._file.truncate(0)
            self._read(identity)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the lock back."""
        self._file.close()
        if self._lock_file is not None:
            self._lock_file.unlink(missing_ok=True)

    def append(self, records: Iterable[tuple[Origin, dict[str, Any]]]) -> None:
        """Note origins and records of images whose outputs are in place; on disk when this returns."""
        end = self._file.seek(0, os.SEEK_END)
        entries = [{**origin._asdict(), **record} for origin, record in records]
        lines = [json_line(entry) for entry in entries]
        self._write(b"".join(lines))
        for entry, line in zip(entries, lines, strict=True):
            self.entries[entry["file_name"]] = _entry(entry, end)
            end += len(line)

    def records(self, file_names: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The records of images, in the order of the names; names without one are left out."""
        with open(self.path, "rb") as file:
            for name in file_names:
                if name in self.entries:
                    file.seek(self.entries[name].offset)
                    record = json.loads(file.readline())
                    yield {key: value for key, value in record.items() if key not in Origin._fields}

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
        self.entries, end = read_entries(self.path, identity)
        self._file.truncate(end)
        if end == 0:
            self._write(json_line({"identity": identity, "info": self.info}))
        else:
            with open(self.path, "rb") as file:
                self.info = json.loads(file.readline()).get("info", {})


def read_entries(path: Path, identity: dict[str, str]) -> tuple[dict[str, Entry], int]:
    """What a journal knows by file name, and where its whole lines end; nothing where there is none.

    Raises:
        UsageError: the earlier run had another identity.
        HqsamError: the file is no journal, or cannot be read.
    """
    entries: dict[str, Entry] = {}
    position = 0
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                try:
                    record = json.loads(line)
                    if number == 0:
                        _check(path, record, identity)
                    else:
                        entries[record["file_name"]] = _entry(record, position)
                except (ValueError, KeyError, TypeError, AttributeError):
                    reason = f"line {number + 1} is not of a journal"
                    raise HqsamError(reason, file=path, remedy="pass `overwrite` to start again") from None
                position += len(line)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise cannot_write(path, error) from None
    return entries, position


def _check(path: Path, head: dict[str, Any], identity: dict[str, str]) -> None:
    if changed := changes(head["identity"], identity):
        command = head.get("info", {}).get("command")
        made = f", made by: {command}" if command else ""
        raise UsageError(
            f"{path.parent} holds results of another run ({'; '.join(changed)}{made})",
            remedy="pass `overwrite` to start again, or choose another `output`",
        )


def _entry(record: dict[str, Any], offset: int) -> Entry:
    fingerprint = record["fingerprint"] if record["error"] is None else None
    return Entry(fingerprint, record["path"], record["lost"], len(record.get("annotations", ())), offset)


def cannot_write(path: Path, error: OSError) -> HqsamError:
    """The fatal error of an output that cannot be written."""
    return HqsamError(
        f"cannot be written ({error.strerror})",
        file=error.filename or path,
        remedy="mend that and run the same command, which continues, or choose another `output`",
    )
