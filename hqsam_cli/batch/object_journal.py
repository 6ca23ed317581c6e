"""A journal at an address: its lines in objects, `<number>.ndjson`, each with what was noted in some seconds.

An object of each number can be made once, so two runs on one output cannot go on beside each other: on one machine the
later is refused, on two machines one of them ends when it has something to note. What is there is fetched when a run
begins, and a copy of all lines is kept on this machine until it ends.

Many small objects would each cost a request whenever a journal is read, so they are merged: `<first>-<last>.ndjson` has
the lines of these numbers, and where it is, theirs count no more.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import HqsamError
from ..io.address_folder import AddressFolder
from ..io.addresses import MODIFIED, stamp_of
from ..io.run_folder import JOURNAL, JOURNAL_FOLDER, JOURNAL_OBJECT
from .journal import Beginning, Contents, Journal, read_journal

log = logging.getLogger(__name__)
AT_ONCE = 64  # objects whose lines are held in memory
SECONDS = 5.0  # between two objects of a run; a run that is killed does the images of so long again
LARGE = 4 << 20  # bytes; smaller objects are merged, and lines that come to so much are put at once
END = 256  # bytes, in which the last line is if it notes how a command ended
MANY = 32  # small objects, which are merged while the run goes on


class _Object(NamedTuple):
    """An object of a journal.

    Attributes:
        stamp: None of one that was put from here.
        size: in bytes.
    """

    stamp: str | None
    size: int


class JournalCopy:
    """The lines of a journal at an address, in a file here.

    Attributes:
        path: of the file.
        objects: those whose lines it has, in their order, by name.
    """

    def __init__(self, address: str) -> None:
        self.folder = AddressFolder(address)
        here = tempfile.mkdtemp(prefix="hqsam-")
        weakref.finalize(self, shutil.rmtree, here, ignore_errors=True)
        self.path = Path(here, JOURNAL)
        self.objects: dict[str, _Object] = {}
        self._merged: list[str] = []  # which are still there though another object has their lines

    def refresh(self) -> None:
        """Fetch what is there and not here."""
        while True:
            infos = self._listed()
            try:
                return self._fetch(infos)
            except HqsamError:
                self.objects.clear()
                if self._listed().keys() == infos.keys():
                    raise
                # Some were merged meanwhile.

    def put(self, data: bytes) -> bool:
        """Put lines that the file has into the next object; whether nobody else had made that."""
        _, last = _numbers(next(reversed(self.objects))) if self.objects else (0, -1)
        name = f"{last + 1:09d}.ndjson"
        try:
            is_new = self.folder.put_new(name, data)
        except BaseException:
            self.objects.clear()  # the file has lines that are of no object
            raise
        if is_new:
            self.objects[name] = _Object(None, len(data))
        else:
            self.objects.clear()
        return is_new

    def merge(self, least: int) -> None:
        """Merge the small objects at the end, if there are so many; what cannot be is left as it is."""
        sizes = [own.size for own in self.objects.values()]
        first = max((number for number, size in enumerate(sizes, 1) if size >= LARGE), default=0)
        if len(sizes) - first < least:
            return
        try:
            with open(self.path, "rb") as file:
                file.seek(sum(sizes[:first]))
                for group in list(self._groups(list(self.objects)[first:])):
                    self._merge_group(group, file.read(sum(self.objects[name].size for name in group)))
            self.folder.remove(self._merged)
            self._merged = []
        except HqsamError:
            log.debug("objects of a journal were not merged", exc_info=True)

    def _merge_group(self, group: list[str], content: bytes) -> None:
        if len(group) == 1:
            return
        name = f"{_numbers(group[0])[0]:09d}-{_numbers(group[-1])[1]:09d}.ndjson"
        if not self.folder.put_new(name, content):
            raise HqsamError("another run is writing here", file=self.folder.address)
        self._merged += group
        there = list(self.objects.items())
        start = list(self.objects).index(group[0])
        there[start : start + len(group)] = [(name, _Object(None, len(content)))]
        self.objects = dict(there)

    def clear(self) -> None:
        """Remove all of it, the first object last, so that what is left if this breaks off is a journal's."""
        names = list(self.objects)
        self.folder.remove([*self._merged, *names[1:]])
        self.folder.remove(names[:1])
        self.refresh()

    def _listed(self) -> dict[str, Mapping[str, Any]]:
        """What the file system says of the objects that count, in their order."""
        infos = {name: info for name, info in self.folder.names().items() if JOURNAL_OBJECT.fullmatch(name)}
        counting, end, self._merged = {}, -1, []
        for (_, negative), name in sorted(((_numbers(name)[0], -_numbers(name)[1]), name) for name in infos):
            if -negative > end:
                counting[name], end = infos[name], -negative
            else:
                self._merged.append(name)
        return counting

    def _fetch(self, infos: Mapping[str, Mapping[str, Any]]) -> None:
        names = list(infos)
        is_known = names[: len(self.objects)] == list(self.objects) and all(
            own.stamp in (None, stamp_of(infos[name])) for name, own in self.objects.items()
        )
        if not is_known:
            self.objects.clear()  # somebody began it anew, or merged objects
        with open(self.path, "ab" if self.objects else "wb") as file:
            for start in range(len(self.objects), len(names), AT_ONCE):
                group = names[start : start + AT_ONCE]
                for name, content in zip(group, self.folder.read(group), strict=True):
                    file.write(content)
                    self.objects[name] = _Object(stamp_of(infos[name]), len(content))
        if names and (changed := _changed(infos[names[-1]])) is not None:
            os.utime(self.path, (changed, changed))

    def _groups(self, names: list[str]) -> Iterator[list[str]]:
        """Objects one after the other that are large together."""
        group: list[str] = []
        for name in names:
            group.append(name)
            if sum(self.objects[own].size for own in group) >= LARGE:
                yield group
                group = []
        if group:
            yield group


class ObjectJournal(Journal):
    """See `Journal`. What is noted is put when some seconds have passed since the last time, and at the end.

    Args:
        address: of its objects.
    """

    def __init__(
        self, address: str, identity: dict[str, str], *, overwrite: bool, info: Mapping[str, Any] | None = None
    ) -> None:
        self._copy = copy_of(address)
        self._waiting = bytearray()
        self._put_at = -SECONDS
        if overwrite:
            self._check_alone(journal_contents(address))
        super().__init__(self._copy.path, identity, overwrite=overwrite, info=info, named=address)
        try:
            self._check_alone(self._contents)
        except HqsamError:
            self.close()
            raise

    def begin(self, beginning: Beginning) -> None:
        """See `Journal`; from then on others see that somebody is at it."""
        super().begin(beginning)
        self._put()

    def end(self, outcome: str) -> None:
        """See `Journal`."""
        super().end(outcome)
        self._put()
        self._copy.merge(2)

    def close(self) -> None:
        """See `Journal`."""
        try:
            self._put()
        finally:
            super().close()

    def _check_alone(self, contents: Contents) -> None:
        """Raise where a run of this machine is at it; of another machine nobody knows until it notes something."""
        last = contents.last
        if last is None or contents.outcome is not None or last.host != socket.gethostname():
            return
        if not last.is_gone:
            reason = f"another run is writing here (process {last.process})"
            raise HqsamError(reason, file=self._copy.folder.address, remedy="wait for it to end")

    def _clear(self) -> None:
        self._copy.clear()

    def _write(self, data: bytes) -> None:
        super()._write(data)
        self._waiting += data
        if len(self._waiting) >= LARGE or time.monotonic() - self._put_at >= SECONDS:
            self._put()

    def _put(self) -> None:
        """Put what waits for it."""
        data, self._waiting = bytes(self._waiting), bytearray()
        if not data:
            return
        if not self._copy.put(data):
            raise HqsamError("another run is writing here", file=self._copy.folder.address, remedy="wait for it to end")
        self._copy.merge(MANY)
        self._put_at = time.monotonic()


def open_journal(
    place: Path | str, identity: dict[str, str], *, overwrite: bool, info: Mapping[str, Any] | None = None
) -> Journal:
    """The journal of a run in a file, or at an address; see `Journal`."""
    if isinstance(place, Path):
        return Journal(place, identity, overwrite=overwrite, info=info)
    return ObjectJournal(place, identity, overwrite=overwrite, info=info)


def has_journal(place: Path | str) -> bool:
    """Whether a run has begun one there."""
    return place.exists() if isinstance(place, Path) else bool(_copy(place)._listed())


def is_finished(place: Path | str) -> bool:
    """Whether the last command of a journal finished, or none noted that it began; mostly its end alone is read."""
    if isinstance(place, Path):
        with open(place, "rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - END, 0))
            tail = file.read()
    else:
        copy = _copy(place)
        (tail,) = copy.folder.read(list(copy._listed())[-1:])
    *_, last_line, torn = b"\n", *tail.split(b"\n")
    if last_line.startswith(b'{"outcome"') and not torn:
        return bool(json.loads(last_line)["outcome"] == "finished")
    contents = journal_contents(place)
    return contents.last is None or contents.outcome == "finished"


def journal_contents(place: Path | str, identity: dict[str, str] | None = None) -> Contents:
    """What a journal in a file or at an address says; see `read_journal`."""
    return read_journal(local_journal(place), identity, named=place if isinstance(place, str) else None)


def local_journal(place: Path | str) -> Path:
    """The file of a journal, or a copy of one at an address."""
    return place if isinstance(place, Path) else copy_of(place).path


def journal_of(output: Path | str) -> Path | str:
    """Where the journal of an output is, a folder or an address; a folder may be a copy of what was at an address."""
    if isinstance(output, str):
        return f"{output.rstrip('/')}/{JOURNAL_FOLDER}"
    objects = f"file://{output.absolute()}/{JOURNAL_FOLDER}"
    is_copied = not (output / JOURNAL).exists() and (output / JOURNAL_FOLDER).is_dir() and has_journal(objects)
    return objects if is_copied else output / JOURNAL


def copy_of(address: str) -> JournalCopy:
    """The copy of a journal, as it is now."""
    copy = _copy(address)
    copy.refresh()
    return copy


def _numbers(name: str) -> tuple[int, int]:
    """Of the first and the last object whose lines an object has."""
    first, _, last = name.removesuffix(".ndjson").partition("-")
    return int(first), int(last or first)


@cache
def _copy(address: str) -> JournalCopy:
    """One copy a process, which is gone with it."""
    return JournalCopy(address)


def _changed(info: Mapping[str, Any]) -> float | None:
    """When an object was made, in seconds, where the file system says so."""
    times = (info.get(key) for key in MODIFIED)
    found = next((time for time in times if isinstance(time, datetime | float)), None)
    return found.timestamp() if isinstance(found, datetime) else found
