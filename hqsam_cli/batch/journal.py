"""The journal of an output folder: what is done, so that the same command continues after anything.

`journal.ndjson` begins with a line of the identity of the run, see `configs`; then comes one line an image, its whole
record, appended after its outputs are in place. The last line of a file name counts. Beside the record stands a
fingerprint of what the results of that image depend on and the identity does not say.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

from ..configs import changes
from ..errors import HqsamError, UsageError
from ..formats.annotations import json_line

JOURNAL = "journal.ndjson"


class Journal:
    """An open, locked journal. Holds an offset and a fingerprint a file name, not the records.

    Args:
        folder: the output folder; made if need be.
        identity: everything results depend on, by the option that says it; see `configs.identity`.
        overwrite: forget what an earlier run did.

    Raises:
        UsageError: an earlier run in this folder had another identity.
        HqsamError: the folder cannot be written, another run is in it, or the file is no journal.
    """

    def __init__(self, folder: Path, identity: dict[str, str], *, overwrite: bool) -> None:
        self.path = folder / JOURNAL
        self._offsets: dict[str, int] = {}
        self._done: dict[str, str] = {}
        self._file = self._locked(folder)
        try:
            if overwrite:
                self._file.truncate(0)
            self._read(identity)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Give the lock back."""
        self._file.close()

    def fingerprint_of(self, file_name: str) -> str | None:
        """What the outputs of an image were made of; None where they are not in place, or it failed."""
        return self._done.get(file_name)

    def append(self, records: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Note the fingerprints and records of images whose outputs are in place; on disk when this returns."""
        end = self._file.seek(0, os.SEEK_END)
        entries = [{"fingerprint": fingerprint, **record} for fingerprint, record in records]
        lines = [json_line(entry) for entry in entries]
        self._write(b"".join(lines))
        for entry, line in zip(entries, lines, strict=True):
            self._note(entry, end)
            end += len(line)

    def records(self, file_names: Iterable[str]) -> Iterator[dict[str, Any]]:
        """The records of images, in the order of the names; names without one are left out."""
        with open(self.path, "rb") as file:
            for name in file_names:
                if name in self._offsets:
                    file.seek(self._offsets[name])
                    record = json.loads(file.readline())
                    del record["fingerprint"]
                    yield record

    def _locked(self, folder: Path) -> FileIO:
        """The journal's file. Unbuffered: what a full disk refuses must not be tried again when it is closed."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = open(self.path, "a+b", buffering=0)  # noqa: SIM115 - open, and locked, as long as the run
        except OSError as error:
            raise cannot_write(self.path, error) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            if isinstance(error, BlockingIOError):
                text = f"{folder}: another run is writing here; wait for it to end"
                raise HqsamError(text) from None
            raise cannot_write(self.path, error) from None
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
        position = 0
        with open(self.path, "rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break
                try:
                    entry = json.loads(line)
                    if number == 0:
                        self._check(entry["identity"], identity)
                    else:
                        self._note(entry, position)
                except (ValueError, KeyError, TypeError, AttributeError):
                    text = f"{self.path}: line {number + 1} is not of a journal; pass --overwrite to start again"
                    raise HqsamError(text) from None
                position += len(line)
        self._file.truncate(position)
        if position == 0:
            self._write(json_line({"identity": identity}))

    def _check(self, old: dict[str, str], new: dict[str, str]) -> None:
        if changed := changes(old, new):
            raise UsageError(
                f"{self.path.parent} holds results of another run ({'; '.join(changed)}): "
                "pass --overwrite to start again, or choose another --output"
            )

    def _note(self, entry: dict[str, Any], offset: int) -> None:
        name = entry["file_name"]
        self._offsets[name] = offset
        if entry["error"] is None:
            self._done[name] = entry["fingerprint"]
        else:
            self._done.pop(name, None)


def cannot_write(path: Path, error: OSError) -> HqsamError:
    """The fatal error of an output that cannot be written."""
    return HqsamError(
        f"{error.filename or path}: cannot be written ({error.strerror}); mend that and run the same command, "
        "which continues, or choose another --output"
    )
