"""The journal of an output folder: what is done, so that the same command continues after anything.

`journal.ndjson` begins with a line of the flags of the run; then comes one line an image, its whole record,
appended after its outputs are in place. The last line of a file name counts.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import HqsamError, UsageError
from ..outputs.annotations import json_line

JOURNAL = "journal.ndjson"


class Journal:
    """An open, locked journal. Holds an offset a file name, not the records.

    Args:
        folder: the output folder; made if need be.
        flags: everything results depend on, by the name a person would change it by.
        overwrite: forget what an earlier run did.

    Raises:
        UsageError: an earlier run in this folder had other flags.
        HqsamError: the folder cannot be written, another run is in it, or the file is no journal.
    """

    def __init__(self, folder: Path, flags: dict[str, str], *, overwrite: bool) -> None:
        self.path = folder / JOURNAL
        self.fingerprint = hashlib.sha256(json.dumps(flags, sort_keys=True).encode()).hexdigest()[:16]
        self._offsets: dict[str, int] = {}
        self._failed: set[str] = set()
        self._file = self._locked(folder)
        try:
            if overwrite:
                self._file.truncate(0)
            self._read(flags)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Give the lock back."""
        self._file.close()

    def is_done(self, file_name: str) -> bool:
        """Whether the image's outputs are in place; one that failed is not done."""
        return file_name in self._offsets and file_name not in self._failed

    def append(self, records: Iterable[dict[str, Any]]) -> None:
        """Record images whose outputs are in place; on disk when this returns."""
        end = self._file.seek(0, os.SEEK_END)
        lines = [(r, json_line({"fingerprint": self.fingerprint, **r})) for r in records]
        try:
            self._file.write(b"".join(line for _, line in lines))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from None
        for record, line in lines:
            self._note(record, end)
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

    def _locked(self, folder: Path) -> BinaryIO:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = open(self.path, "a+b")  # noqa: SIM115 - stays open, and locked, as long as the run
        except OSError as error:
            raise cannot_write(self.path, error) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise HqsamError(
                f"{folder}: another run is writing here; wait for it, or choose another --output"
            ) from None
        return file

    def _read(self, flags: dict[str, str]) -> None:
        """Index the lines there are, cut off a torn last one, and begin a file that has none."""
        self._file.seek(0)
        position = 0
        for number, line in enumerate(self._file):
            if not line.endswith(b"\n"):
                break
            try:
                record = json.loads(line)
                if number == 0:
                    self._check(record["flags"], flags)
                else:
                    self._note(record, position)
            except (ValueError, KeyError, TypeError):
                raise HqsamError(f"{self.path}: line {number + 1} is not of a journal; pass --overwrite") from None
            position += len(line)
        try:
            self._file.truncate(position)
            if position == 0:
                header = {"fingerprint": self.fingerprint, "flags": flags}
                self._file.write(json_line(header))
                self._file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from None

    def _check(self, old: dict[str, str], new: dict[str, str]) -> None:
        changed = [flag for flag in sorted({*old, *new}) if old.get(flag) != new.get(flag)]
        if changed:
            what = "; ".join(f"{flag} was {old.get(flag)}, is {new.get(flag)}" for flag in changed)
            raise UsageError(
                f"{self.path.parent} holds results of other flags ({what}): "
                "pass --overwrite to start again, or choose another --output"
            )

    def _note(self, record: dict[str, Any], offset: int) -> None:
        name = record["file_name"]
        self._offsets[name] = offset
        if record["error"] is None:
            self._failed.discard(name)
        else:
            self._failed.add(name)


def cannot_write(path: Path, error: OSError) -> HqsamError:
    """The fatal error of an output that cannot be written."""
    return HqsamError(
        f"{error.filename or path}: cannot be written ({error.strerror}); mend that or choose another --output, "
        "then run the same command: it continues"
    )
