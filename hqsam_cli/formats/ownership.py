"""What a run reports of files that it keeps and results that it removes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from ..errors import HqsamError
from .values import some_of

log = logging.getLogger(__name__)
MOST = 10  # images that may lose their results at once; beyond it, at most one in this many


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
