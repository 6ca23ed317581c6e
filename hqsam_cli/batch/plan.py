"""The plan of a run: which images are done or left, and which would lose their results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ..formats.outputs import Outputs
from ..formats.ownership import check_removal
from ..io.address_folder import AT_ONCE
from ..io.addresses import absolute_path
from ..io.find import SourceImage
from ..io.tars import gone_images
from ..records import ImagePrompts
from .fingerprint import Fingerprint, prompts_digest, renewed
from .job import Job
from .journal import Contents, Entry
from .object_journal import journal_contents

TOGETHER = 1000  # images whose fingerprints are compared per batch


@dataclass(slots=True)
class Plan:
    """Images of the job and of earlier runs.

    Attributes:
        end: offset of the end of the journal that it is based on.
        known: number of images in the journal.
        has_results: some of them have results.
        done: names of images that are done.
        failed: names of unchanged images that failed.
        lost: number of prompts, or parts of them, that did not fit the images in `done` and `failed`.
        left: images to process.
        changed: names of images in `left` whose content changed.
        rewritten: names of other images in `left` with results: their prompts changed, or outputs are missing.
        emptied: names of images in `rewritten` that no longer have prompts, as a file states.
        unmentioned: names of images in `done` that have results but are in no prompt file.
        gone: names of images of earlier runs that were deleted.
        touched: new fingerprints, by name, of images with a new modification time but the same content.
    """

    end: int = 0
    known: int = 0
    has_results: bool = False
    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    lost: int = 0
    left: list[SourceImage] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    unmentioned: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    touched: dict[str, str] = field(default_factory=dict)

    def check_removal(self, *, prune: bool) -> None:
        """Raise an HqsamError if too many images would lose their results; see `ownership.check_removal`."""
        check_removal(self.known, [*self.gone, *self.emptied], prune=prune)


def make_plan(job: Job, outputs: Outputs | None, contents: Contents | None = None) -> Plan:
    """Plan a job; raises the errors of a run before any model is loaded.

    Args:
        contents: of the journal; None to read them.

    Raises:
        UsageError: outputs belong to another run, or were not written by hqsam.
        HqsamError: the journal is invalid.
    """
    if contents is None and job.journal is not None and outputs is not None and not job.config.overwrite:
        contents = journal_contents(job.journal, job.remembered)
        if not contents.end:
            outputs.check_not_foreign()
    contents = contents or Contents()
    entries = contents.entries
    has_results = any(entry.results for entry in entries.values())
    plan = Plan(contents.end, len(entries), has_results, gone=_gone(job.images, entries))
    for source, fingerprint in _fingerprints(job, entries):
        name = source.file_name
        entry = entries.get(name)
        if entry is None:
            plan.left.append(source)
            continue
        prompts = job.prompts.for_image(name)
        if fingerprint is not None and fingerprint != entry.fingerprint:
            plan.touched[name] = fingerprint
        if prompts.mentioned is False and entry.results:
            plan.unmentioned.append(name)
            plan.done.append(name)
        elif fingerprint is None:
            plan.left.append(source)
            (plan.rewritten if _are_others(entry, prompts) else plan.changed).append(name)
            if prompts.mentioned and not prompts.prompts and entry.results:
                plan.emptied.append(name)
        elif entry.failure is not None:
            if job.config.retry_failed:
                plan.left.append(source)
            else:
                plan.failed.append(name)
        elif outputs is None or outputs.is_complete(name, entry.results):
            plan.done.append(name)
        else:
            plan.left.append(source)
            plan.rewritten.append(name)
    plan.lost = sum(entries[name].lost for name in [*plan.done, *plan.failed])
    return plan


def _fingerprints(job: Job, entries: Mapping[str, Entry]) -> Iterator[tuple[SourceImage, str | None]]:
    """Yield each image with its current fingerprint, None if pixels or prompts changed.

    Remote files with a new modification time are read in parallel.
    """

    def known(source: SourceImage) -> str | None:
        entry = entries.get(source.file_name)
        if entry is None:
            return None
        prompts = job.prompts.for_image(source.file_name)
        if prompts.mentioned is False and entry.results:
            return None
        return renewed(entry.fingerprint, source, prompts)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for start in range(0, len(job.images), TOGETHER):
            images = job.images[start : start + TOGETHER]
            each = pool.map if any(image.location is not None for image in images) else map
            yield from zip(images, each(known, images), strict=True)


def _are_others(entry: Entry, prompts: ImagePrompts) -> bool:
    """Whether the prompts of an image changed."""
    old = Fingerprint.parse(entry.fingerprint)
    return old is None or old.prompts != prompts_digest(prompts)


def _gone(images: Sequence[SourceImage], entries: Mapping[str, Entry]) -> list[str]:
    """Images of earlier runs that were deleted."""
    names = {image.file_name for image in images}
    others = [(name, entry.path) for name, entry in entries.items() if name not in names]
    if not others:
        return []
    stored = {image.absolute: image.location.url for image in images if image.location is not None}
    tars = set(map(absolute_path, set(stored.values())))
    # An image in a tar file may have a new name.
    gone = gone_images([path for _, path in others if path not in stored], tars)
    return [name for name, path in others if path in gone]
