"""Whose a file in an output is: the run's, if its digest is one that a run noted; else somebody's, and it stays."""

from __future__ import annotations

import hashlib
import logging
import os
import posixpath
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import HqsamError
from ..io.output_folder import OutputFolder
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

    def put(self, folder: OutputFolder, files: Mapping[str, bytes], key: str | None = None) -> None:
        """Write files, each whole or not at all, unless there are somebody's.

        Args:
            files: their contents by their names in the folder.
            key: see `digest_of`; None for their own file names.
        """
        self.written += [content_digest(key or posixpath.basename(name), files[name]) for name in files]
        folder.put({name: files[name] for name in self._replaceable(folder, files, key)})

    def remove(self, folder: OutputFolder, names: Iterable[str], key: str | None = None) -> list[str]:
        """Remove files that are there, unless they are somebody's; names of those that went."""
        removed = self._replaceable(folder, names, key)
        folder.remove(removed)
        return removed

    def _replaceable(self, folder: OutputFolder, names: Iterable[str], key: str | None) -> list[str]:
        """Those of files that are the run's or not there; what is somebody's, or cannot be read, is noted as kept."""
        names = list(names)
        if self.noted is None:
            return names
        there = folder.digests(names)
        return [name for name in names if name not in there or self._is_ours(folder, name, there[name], key)]

    def _is_ours(self, folder: OutputFolder, name: str, sha256: str, key: str | None) -> bool:
        assert self.noted is not None
        digest = digest_of(key or posixpath.basename(name), sha256)
        # What is to be written may be there: of a run that was killed.
        if digest in self.noted or digest in self.written:
            return True
        if self.foreign_too and not any(known[:OF_NAME] == digest[:OF_NAME] for known in self.noted):
            return True
        if (place := folder.place(name)) not in self.kept:
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
