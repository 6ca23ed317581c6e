"""A journal at an address: its lines in objects, `<number>.ndjson`, one for each time that something is noted.

An object of each number can be made once, so two runs on one output cannot go on beside each other: on one machine the
later is refused, on two machines one of them ends when it has something to note. What is there is fetched when a run
begins, and a copy of all lines is kept on this machine until it ends.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import weakref
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from ..configs import JOURNAL, JOURNAL_OBJECT
from ..errors import HqsamError
from ..io.address_folder import AddressFolder
from ..io.places import MODIFIED, stamp_of
from .journal import Contents, Journal, read_journal
from .lock import is_gone

AT_ONCE = 1000  # objects whose lines are held in memory


class JournalCopy:
    """The lines of a journal at an address, in a file here.

    Attributes:
        path: of the file.
        objects: names of those that it has, with their stamps; None of those that were put from here.
    """

    def __init__(self, address: str) -> None:
        self.folder = AddressFolder(address)
        here = tempfile.mkdtemp(prefix="hqsam-")
        weakref.finalize(self, shutil.rmtree, here, ignore_errors=True)
        self.path = Path(here, JOURNAL)
        self.objects: dict[str, str | None] = {}
        self.refresh()

    def refresh(self) -> None:
        """Fetch what is there and not here."""
        infos = {name: info for name, info in self.folder.names().items() if JOURNAL_OBJECT.fullmatch(name)}
        names = sorted(infos)
        known = {
            name: stamp_of(infos[name]) if stamp else None for name, stamp in self.objects.items() if name in infos
        }
        if known != self.objects or names[: len(known)] != list(known):
            self.objects.clear()  # somebody began it anew
        with open(self.path, "ab" if self.objects else "wb") as file:
            for start in range(len(self.objects), len(names), AT_ONCE):
                file.writelines(self.folder.read(names[start : start + AT_ONCE]))
        self.objects |= {name: stamp_of(infos[name]) for name in names[len(self.objects) :]}
        if names and (changed := _changed(infos[names[-1]])) is not None:
            os.utime(self.path, (changed, changed))

    def clear(self) -> None:
        """Remove all of it, the first object last, so that what is left if this breaks off is a journal's."""
        names = list(self.objects)
        self.folder.remove(names[1:])
        self.folder.remove(names[:1])
        self.refresh()


class ObjectJournal(Journal):
    """See `Journal`.

    Args:
        address: of its objects.
    """

    def __init__(
        self, address: str, identity: dict[str, str], *, overwrite: bool, info: Mapping[str, Any] | None = None
    ) -> None:
        self._copy = copy_of(address)
        if overwrite:
            self._check_alone(journal_contents(address))
        super().__init__(self._copy.path, identity, overwrite=overwrite, info=info, named=address)
        try:
            self._check_alone(self._contents)
        except HqsamError:
            self.close()
            raise

    def _check_alone(self, contents: Contents) -> None:
        """Raise where a run of this machine is at it; of another machine nobody knows until it notes something."""
        last = contents.last
        if last is None or contents.outcome is not None or last.host != socket.gethostname():
            return
        if not is_gone(f"{last.host} {last.process}"):
            reason = f"another run is writing here (process {last.process})"
            raise HqsamError(reason, file=self._copy.folder.address, remedy="wait for it to end")

    def _clear(self) -> None:
        self._copy.clear()

    def _write(self, data: bytes) -> None:
        if not data:
            return
        last = next(reversed(self._copy.objects), "-1.ndjson")
        name = f"{int(last.removesuffix('.ndjson')) + 1:09d}.ndjson"
        if not self._copy.folder.put_new(name, data):
            raise HqsamError("another run is writing here", file=self._copy.folder.address, remedy="wait for it to end")
        super()._write(data)
        self._copy.objects[name] = None


def open_journal(
    place: Path | str, identity: dict[str, str], *, overwrite: bool, info: Mapping[str, Any] | None = None
) -> Journal:
    """The journal of a run in a file, or at an address; see `Journal`."""
    if isinstance(place, Path):
        return Journal(place, identity, overwrite=overwrite, info=info)
    return ObjectJournal(place, identity, overwrite=overwrite, info=info)


def has_journal(place: Path | str) -> bool:
    """Whether a run has begun one there."""
    return place.exists() if isinstance(place, Path) else bool(copy_of(place).objects)


def journal_contents(place: Path | str, identity: dict[str, str] | None = None) -> Contents:
    """What a journal in a file or at an address says; see `read_journal`."""
    return read_journal(local_journal(place), identity, named=place if isinstance(place, str) else None)


def local_journal(place: Path | str) -> Path:
    """The file of a journal, or a copy of one at an address."""
    return place if isinstance(place, Path) else copy_of(place).path


def copy_of(address: str) -> JournalCopy:
    """The copy of a journal, as it is now."""
    copy = _copy(address)
    copy.refresh()
    return copy


@cache
def _copy(address: str) -> JournalCopy:
    """One copy a process, which is gone with it."""
    return JournalCopy(address)


def _changed(info: Mapping[str, Any]) -> float | None:
    """When an object was made, in seconds, where the file system says so."""
    times = (info.get(key) for key in MODIFIED)
    return next((time.timestamp() for time in times if isinstance(time, datetime)), None)
