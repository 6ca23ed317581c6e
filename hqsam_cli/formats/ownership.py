"""Ownership of output files: a file is replaced only if its digest is recorded by a run."""

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
LENGTH = 16  # hexadecimal digits of a digest
OF_NAME = 6  # of them, those that identify the name
MOST = 10  # images that may lose their results at once; beyond it, at most one in this many


def digest_of(name: str, sha256: str) -> str:
    """Digest of an output file of an image: of its key among the files of the image, and of its content.

    Args:
        name: file name of a picture; suffix of a label, whose name depends on the names of other images.
        sha256: SHA-256 of the content, 64 digits.
    """
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:OF_NAME] + sha256[: LENGTH - OF_NAME]


@dataclass(slots=True)
class ImageFiles:
    """The output files of one image that a run writes and removes.

    Attributes:
        noted: recorded digests of files written by runs; None if all existing files of the image may be replaced.
        written: digests of files written by this run.
        kept: files not replaced or removed, because they were edited by hand or not written by a run.
        foreign_too: also replace files without a recorded digest of their name, as the run starts over.
    """

    noted: Collection[str] | None = None
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    foreign_too: bool = False

    def put(self, folder: OutputFolder, files: Mapping[str, bytes], key: str | None = None) -> None:
        """Write files atomically, except where existing ones must be kept.

        Args:
            files: contents by name in the folder.
            key: `name` of `digest_of`; None for the file names.
        """
        for name, content in files.items():
            self.written.append(digest_of(key or posixpath.basename(name), hashlib.sha256(content).hexdigest()))
        folder.put({name: files[name] for name in self._replaceable(folder, files, key)})

    def remove(self, folder: OutputFolder, names: Iterable[str], key: str | None = None) -> list[str]:
        """Remove existing files, except those that must be kept; return the names of removed files."""
        removed = self._replaceable(folder, names, key)
        folder.remove(removed)
        return removed

    def _replaceable(self, folder: OutputFolder, names: Iterable[str], key: str | None) -> list[str]:
        """Names of files that are missing or written by a run; others, and unreadable files, are added to `kept`."""
        names = list(names)
        if self.noted is None:
            return names
        there = folder.digests(names)
        return [name for name in names if name not in there or self._is_ours(folder, name, there[name], key)]

    def _is_ours(self, folder: OutputFolder, name: str, sha256: str, key: str | None) -> bool:
        assert self.noted is not None
        digest = digest_of(key or posixpath.basename(name), sha256)
        # A killed run may already have written the new content.
        if digest in self.noted or digest in self.written:
            return True
        if self.foreign_too and not any(known[:OF_NAME] == digest[:OF_NAME] for known in self.noted):
            return True
        if (place := folder.place(name)) not in self.kept:
            self.kept.append(place)
        return False


def tell_kept(kept: Iterable[str]) -> None:
    """Warn about files that were kept because they were edited by hand or not written by hqsam."""
    if files := list(dict.fromkeys(kept)):
        log.warning(
            "files edited by hand or not written by hqsam, kept: %s (%s); `overwrite_edited` replaces them",
            len(files),
            some_of(files),
        )


def tell_foreign(path: object) -> None:
    """Warn that a label is not written, because the existing file was not written by hqsam."""
    log.warning("%s: not overwritten, since it was not written by hqsam", path)


def tell_removed(why: str, names: Sequence[str]) -> None:
    """Warn about images whose results are about to be removed."""
    if names:
        log.warning("%s, results removed: %s (%s)", why, len(names), some_of(names))


def check_removal(known: int, leaving: Sequence[str], *, prune: bool) -> None:
    """Raise an HqsamError if suspiciously many images would lose their results at once.

    Args:
        known: number of images with results.
        leaving: images whose files or prompts no longer exist.
    """
    if not prune and len(leaving) > MOST and MOST * len(leaving) > known:
        raise HqsamError(
            f"{len(leaving)} of {known} images would lose their results ({some_of(leaving)}), because they or their "
            "prompts are gone; nothing was changed",
            remedy="check the image folder and the prompt files, or pass `prune` to delete the results",
        )
