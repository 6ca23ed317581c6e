"""The plan of a run: which images are done or left, and which would lose their results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError
from ..formats.outputs import Outputs
from ..formats.ownership import check_removal
from ..formats.values import some_of
from ..io.address_folder import AT_ONCE
from ..io.addresses import absolute_path
from ..io.find import SourceImage
from ..io.tars import gone_images
from ..records import Category, ImagePrompts
from .fingerprint import Fingerprint, prompts_digest, renewed
from .job import Job
from .journal import Entry
from .object_journal import has_journal, journal_contents

TOGETHER = 1000  # images whose fingerprints are compared per batch


@dataclass(slots=True)
class Plan:
    """Images of the job and of earlier runs.

    Attributes:
        known: number of images in the journal.
        has_results: some of them have results.
        done: names of images that are done.
        failed: names of unchanged images that failed.
        left: images to process.
        changed: names of images in `left` whose content changed.
        rewritten: names of other images in `left` with results: their prompts changed, or outputs are missing.
        emptied: names of images in `rewritten` that no longer have prompts, as a file states.
        unmentioned: names of images in `done` that have results but are in no prompt file.
        gone: names of images of earlier runs that were deleted.
        others: names of images of earlier runs that exist, or may exist, and are not among the inputs.
        touched: new fingerprints, by name, of images with a new modification time but the same content.
    """

    known: int = 0
    has_results: bool = False
    done: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left: list[SourceImage] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)
    unmentioned: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    touched: dict[str, str] = field(default_factory=dict)

    def check_removal(self, *, prune: bool) -> None:
        """Raise an HqsamError if too many images would lose their results; see `ownership.check_removal`."""
        check_removal(self.known, [*self.gone, *self.emptied], prune=prune)


def plan_of(job: Job, outputs: Outputs | None) -> Plan:
    """Plan a job; raises the errors of a run before any model is loaded.

    Raises:
        UsageError: outputs belong to another run, or were not written by hqsam.
        HqsamError: the journal is invalid.
    """
    if job.journal is None or outputs is None or job.overwrite:
        return make_plan(job, {}, outputs)
    check_not_foreign(job.journal, outputs)
    contents = journal_contents(job.journal, job.remembered)
    return make_plan(job, contents.entries, outputs, contents.categories)


def check_not_foreign(journal: Path | str, outputs: Outputs) -> None:
    """Raise a UsageError if there is no journal, but files that would be replaced."""
    if not has_journal(journal):
        outputs.check_not_foreign()


def make_plan(
    job: Job, entries: Mapping[str, Entry], outputs: Outputs | None, categories: Sequence[Category] = ()
) -> Plan:
    """Plan a job.

    Args:
        entries, categories: of earlier runs.

    Raises:
        UsageError: results that are kept have categories with the ids of others.
    """
    has_results = any(entry.results for entry in entries.values())
    names = {image.file_name for image in job.images}
    others = {name: entry.path for name, entry in entries.items() if name not in names}
    gone = _gone(job.images, others)
    plan = Plan(len(entries), has_results, gone=gone)
    inputs = {image.absolute for image in job.images}  # may have other names
    plan.others = sorted(name for name in others.keys() - set(gone) if others[name] not in inputs)
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
            if job.retry_failed:
                plan.left.append(source)
            else:
                plan.failed.append(name)
        elif outputs is None or outputs.is_complete(name, entry.results):
            plan.done.append(name)
        else:
            plan.left.append(source)
            plan.rewritten.append(name)
    kept = [name for name in [*plan.others, *plan.unmentioned] if entries[name].results]
    check_categories(categories, job.categories, kept)
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


def check_categories(before: Sequence[Category], now: Sequence[Category], kept: Sequence[str]) -> None:
    """Raise a UsageError if an id has another name than before.

    Args:
        kept: images with results of earlier commands, which would change their category.
    """
    names = {own["id"]: own["name"] for own in now}
    for own in before:
        if kept and names.get(own["id"], own["name"]) != own["name"]:
            raise UsageError(
                f"category {own['id']} is {names[own['id']]!r}, and {own['name']!r} in the output's results of "
                f"other images: {len(kept)} ({some_of(kept)})",
                remedy="use the same categories, choose another `output`, or pass `overwrite` to start over",
            )


def _gone(images: Sequence[SourceImage], others: Mapping[str, str]) -> list[str]:
    """Images of earlier runs that were deleted.

    Args:
        others: their paths, by name, of those that are not among the images.
    """
    if not others:
        return []
    stored = {image.absolute: image.location.url for image in images if image.location is not None}
    tars = set(map(absolute_path, set(stored.values())))
    # An image in a tar file may have a new name.
    gone = gone_images([path for path in others.values() if path not in stored], tars)
    return [name for name, path in others.items() if path in gone]
