"""Whose a file in an output is: the run's, if its digest is one that a run noted; else somebody's, and it stays."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import HqsamError
from ..io.atomic import write_file
from ..io.digest import file_digest
from .values import some_of

log = logging.getLogger(__name__)
LENGTH = 16  # digits of a digest, of which so many are of a name:
OF_NAME = 6
MOST = 10  # photos that may leave at once, and one of so many of those that are known


def digest_of(name: str, sha256: str) -> str:
    """What is noted of a file of an image: of what tells it from the others of the image, and of its content.

    Args:
        name: of a picture, its file name; of a label, whose name depends on those of other images, its suffix.
        sha256: of the content, 64 digits.
    """
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:OF_NAME] + sha256[: LENGTH - OF_NAME]


def content_digest(name: str, content: bytes) -> str:
    """See `digest_of`."""
    return digest_of(name, hashlib.sha256(content).hexdigest())


@dataclass(slots=True)
class ImageFiles:
    """The files of one image in an output, as one run writes and removes them.

    Attributes:
        noted: digests of what runs wrote; None: whatever is there under the names of the image may be replaced.
        written: digests of what this run writes.
        kept: files that would have been replaced or removed, and are somebody's.
        foreign_too: files of names that no run wrote may be replaced, since the run begins again.
    """

    noted: Collection[str] | None = None
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    foreign_too: bool = False

    def put(self, path: Path, content: bytes) -> None:
        """Write a file, whole or not at all, unless there is somebody's."""
        self.written.append(content_digest(path.name, content))
        if self.may_replace(path, path.name):
            write_file(path, content)

    def remove(self, path: Path, name: str | None = None) -> None:
        """Remove a file, unless it is somebody's."""
        if self.may_replace(path, name or path.name):
            path.unlink(missing_ok=True)

    def may_replace(self, path: Path, name: str) -> bool:
        """Whether a file is the run's or is not there; one that is somebody's, or cannot be read, is noted as kept."""
        if self.noted is None or not os.path.isfile(path):
            return True
        try:
            found = digest_of(name, file_digest(path))
        except OSError:
            found = digest_of(name, "")
        return self.allows(str(path), found)

    def allows(self, place: str, digest: str) -> bool:
        """See `may_replace`, of a file by its digest. What is to be written may be there: of a run that was killed."""
        if self.noted is None or digest in self.noted or digest in self.written:
            return True
        if self.foreign_too and not any(known[:OF_NAME] == digest[:OF_NAME] for known in self.noted):
            return True
        if place not in self.kept:
            self.kept.append(place)
        return False


def tell_kept(kept: Iterable[str]) -> None:
    """Say which files of somebody stayed where a run would have replaced or removed its own."""
    if files := list(dict.fromkeys(kept)):
        log.warning(
            "files edited by hand or not written by hqsam, kept: %s (%s); `overwrite_edited` replaces them",
            len(files),
            some_of(files),
        )


def tell_foreign(path: object) -> None:
    """Say that a label cannot be written, since there is one of somebody else."""
    log.warning("%s: not overwritten, since it was not written by hqsam", path)


def tell_removed(why: str, names: Sequence[str]) -> None:
    """Say whose results go, before they go."""
    if names:
        log.warning("%s, results removed: %s (%s)", why, len(names), some_of(names))


def check_removal(known: int, leaving: Sequence[str], *, prune: bool) -> None:
    """Raise an HqsamError where so many images would lose their results at once that it may be a mistake.

    Args:
        known: how many images have results.
        leaving: those whose photos are gone, or whose prompts are.
    """
    if not prune and len(leaving) > MOST and MOST * len(leaving) > known:
        raise HqsamError(
            f"{len(leaving)} of {known} images would lose their results ({some_of(leaving)}), because they or their "
            "prompts are gone; nothing was changed",
            remedy="check the image folder and the prompt files, or pass `prune` to delete the results",
        )
