"""A journal at a URL: lines in numbered objects, `<number>.ndjson`, each covering a few seconds.

Each number can be created only once, so two runs cannot write to the same output: on one machine the second is
rejected, on two machines one ends at its next write. A run downloads the journal when it begins, and keeps a local
copy.

Reading many small objects costs a request each, so they are merged: `<first>-<last>.ndjson` has the lines of these
numbers and replaces them.
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

from ..errors import HqsamError, UsageError
from ..io.address_folder import AddressFolder
from ..io.addresses import MODIFIED, stamp_of
from ..io.atomic import check_can_write
from ..io.run_folder import JOURNAL, JOURNAL_FOLDER, JOURNAL_OBJECT
from .journal import Beginning, Contents, Journal, read_journal
from .lock import ONE_AT_A_TIME

log = logging.getLogger(__name__)
AT_ONCE = 64  # objects read concurrently
SECONDS = 5.0  # between two objects of a run; a killed run repeats at most the images of this time
LARGE = 4 << 20  # bytes; smaller objects are merged, and this many bytes of lines are written at once
END = 256  # bytes that contain the last line, if it records the end of a command
MANY = 32  # small objects to merge during a run


class _Object(NamedTuple):
    """An object of a journal.

    Attributes:
        stamp: None if this process wrote it.
        size: in bytes.
    """

    stamp: str | None
    size: int


class JournalCopy:
    """A local copy of a journal at a URL.

    Attributes:
        path: local file.
        objects: contained objects, in order, by name.
    """

    def __init__(self, address: str) -> None:
        self.folder = AddressFolder(address)
        here = tempfile.mkdtemp(prefix="hqsam-")
        weakref.finalize(self, shutil.rmtree, here, ignore_errors=True)
        self.path = Path(here, JOURNAL)
        self.objects: dict[str, _Object] = {}
        self._merged: list[str] = []  # merged objects that still exist

    def refresh(self) -> None:
        """Download new objects."""
        while True:
            infos = self._listed()
            try:
                return self._fetch(infos)
            except HqsamError:
                self.objects.clear()
                if self._listed().keys() == infos.keys():
                    raise
                # Some were merged in the meantime.

    def put(self, data: bytes) -> bool:
        """Write new lines to the next object; returns False if it already existed."""
        _, last = _numbers(next(reversed(self.objects))) if self.objects else (0, -1)
        name = f"{last + 1:09d}.ndjson"
        try:
            is_new = self.folder.put_new(name, data)
        except BaseException:
            self.objects.clear()  # the local file has lines that are in no object
            raise
        if is_new:
            self.objects[name] = _Object(None, len(data))
        else:
            self.objects.clear()
        return is_new

    def merge(self, least: int) -> None:
        """Merge the small objects at the end if there are at least `least`; failures are ignored."""
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
            raise HqsamError("another run is writing here", file=self.folder.address, remedy=ONE_AT_A_TIME)
        self._merged += group
        there = list(self.objects.items())
        start = list(self.objects).index(group[0])
        there[start : start + len(group)] = [(name, _Object(None, len(content)))]
        self.objects = dict(there)

    def clear(self) -> None:
        """Delete all objects, the first one last, so that a partial deletion leaves a valid journal."""
        names = list(self.objects)
        self.folder.remove([*self._merged, *names[1:]])
        self.folder.remove(names[:1])
        self.refresh()

    def _listed(self) -> dict[str, Mapping[str, Any]]:
        """File-system information of the unmerged objects, in order."""
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
            self.objects.clear()  # another run overwrote the journal, or merged objects
        with open(self.path, "ab" if self.objects else "wb") as file:
            for start in range(len(self.objects), len(names), AT_ONCE):
                group = names[start : start + AT_ONCE]
                for name, content in zip(group, self.folder.read(group), strict=True):
                    file.write(content)
                    self.objects[name] = _Object(stamp_of(infos[name]), len(content))
        if names and (changed := _changed(infos[names[-1]])) is not None:
            os.utime(self.path, (changed, changed))

    def _groups(self, names: list[str]) -> Iterator[list[str]]:
        """Groups of consecutive objects of at least `LARGE` bytes."""
        group: list[str] = []
        for name in names:
            group.append(name)
            if sum(self.objects[own].size for own in group) >= LARGE:
                yield group
                group = []
        if group:
            yield group


class ObjectJournal(Journal):
    """See `Journal`. Lines are written every few seconds, and at the end.

    Args:
        address: URL of its objects.
    """

    def __init__(
        self,
        address: str,
        identity: dict[str, str],
        *,
        overwrite: bool,
        redo: bool = False,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        self._copy = copy_of(address)
        self._waiting = bytearray()
        self._put_at = -SECONDS
        if overwrite:
            self._check_alone(journal_contents(address))
        super().__init__(self._copy.path, identity, overwrite=overwrite, redo=redo, info=info, named=address)
        try:
            self._check_alone(self.contents)
        except HqsamError:
            self.close()
            raise

    def begin(self, beginning: Beginning) -> None:
        """See `Journal`; from now on visible to other runs."""
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
        """Raise if a run on this machine writes to it; runs on other machines are detected at the next write."""
        last = contents.last
        if last is None or contents.outcome is not None or last.host != socket.gethostname():
            return
        if not last.is_gone:
            reason = f"another run is writing here (process {last.process})"
            raise HqsamError(reason, file=self._copy.folder.address, remedy=ONE_AT_A_TIME)

    def _clear(self) -> None:
        self._copy.clear()

    def _write(self, data: bytes) -> None:
        super()._write(data)
        self._waiting += data
        if len(self._waiting) >= LARGE or time.monotonic() - self._put_at >= SECONDS:
            self._put()

    def _put(self) -> None:
        """Write pending lines."""
        data, self._waiting = bytes(self._waiting), bytearray()
        if not data:
            return
        if not self._copy.put(data):
            raise HqsamError("another run is writing here", file=self._copy.folder.address, remedy=ONE_AT_A_TIME)
        self._copy.merge(MANY)
        self._put_at = time.monotonic()


def open_journal(
    place: Path | str,
    identity: dict[str, str],
    *,
    overwrite: bool,
    redo: bool = False,
    info: Mapping[str, Any] | None = None,
) -> Journal:
    """Open a run's journal in a file or at a URL; see `Journal`."""
    if isinstance(place, Path):
        return Journal(place, identity, overwrite=overwrite, redo=redo, info=info)
    return ObjectJournal(place, identity, overwrite=overwrite, redo=redo, info=info)


def has_journal(place: Path | str) -> bool:
    """Whether a journal exists."""
    return place.exists() if isinstance(place, Path) else bool(_copy(place)._listed())


def is_finished(place: Path | str) -> bool:
    """Whether a journal's last command finished, or none was started; usually reads only the end of the journal."""
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


def journal_contents(place: Path | str) -> Contents:
    """Read the contents of a journal in a file or at a URL; see `read_journal`."""
    return read_journal(local_journal(place), named=place if isinstance(place, str) else None)


def local_journal(place: Path | str) -> Path:
    """Return the journal file, or a local copy of one at a URL."""
    return place if isinstance(place, Path) else copy_of(place).path


def journal_of(output: Path | str) -> Path | str:
    """Journal path or URL of an output folder or URL; a folder may be a copy of an output at a URL."""
    if isinstance(output, str):
        return f"{output.rstrip('/')}/{JOURNAL_FOLDER}"
    objects = f"file://{output.absolute()}/{JOURNAL_FOLDER}"
    is_copied = not (output / JOURNAL).exists() and (output / JOURNAL_FOLDER).is_dir() and has_journal(objects)
    return objects if is_copied else output / JOURNAL


def journal_place(output: Path | str, folder: str | None, *, beside: bool = False) -> Path | str:
    """Location of a run's journal.

    Args:
        folder: of `--journal`.
        beside: the output is a file, with its journal beside it; else the journal is in the output folder.

    Raises:
        UsageError: `--journal` is given for a local output.
    """
    if isinstance(output, Path):
        if folder is not None:
            raise UsageError("applies to an output at a URL only", option="journal", value=folder, remedy="omit it")
        return output.with_name(f"{output.name}.{JOURNAL}") if beside else output / JOURNAL
    if folder is not None:
        return Path(folder, JOURNAL)
    return f"{output.rstrip('/')}{'.' if beside else '/'}{JOURNAL_FOLDER}"


def check_writable(place: Path | str) -> None:
    """Raise an HqsamError if a journal cannot be written."""
    if isinstance(place, Path):
        check_can_write(place)
    else:
        AddressFolder(place).check_can_write()


def copy_of(address: str) -> JournalCopy:
    """Return an up-to-date local copy of a journal."""
    copy = _copy(address)
    copy.refresh()
    return copy


def _numbers(name: str) -> tuple[int, int]:
    """Parse the first and last number in an object name."""
    first, _, last = name.removesuffix(".ndjson").partition("-")
    return int(first), int(last or first)


@cache
def _copy(address: str) -> JournalCopy:
    """One copy per process, deleted at exit."""
    return JournalCopy(address)


def _changed(info: Mapping[str, Any]) -> float | None:
    """Modification time of an object in seconds, if the file system provides it."""
    times = (info.get(key) for key in MODIFIED)
    found = next((time for time in times if isinstance(time, datetime | float)), None)
    return found.timestamp() if isinstance(found, datetime) else found
