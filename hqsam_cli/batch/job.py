"""The job of a run, its plan (which images are done or left, and which would lose their results) and its summary."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ..configs import RunConfig, SegmentationKind, changes
from ..errors import UsageError
from ..formats import WRITERS
from ..formats.image_writer import ImageResult
from ..formats.outputs import MakeWriter, Outputs
from ..formats.ownership import check_removal
from ..formats.polygons import PolygonCost
from ..formats.values import some_of
from ..io.address_folder import AT_ONCE
from ..io.addresses import absolute_path
from ..io.find import SourceImage
from ..io.tars import gone_images
from ..prompts.table import PromptTable
from ..records import Category, ImagePrompts, ImageRecord
from .fingerprint import Fingerprint, prompts_digest, renewed
from .journal import Contents, Entry, check_identity
from .object_journal import journal_contents

TOGETHER = 1000  # images whose fingerprints are compared per batch


class PromptsByName(Protocol):
    """The part of `PromptTable` used by the pipeline."""

    def for_image(self, file_name: str) -> ImagePrompts: ...


@dataclass(frozen=True, slots=True)
class Job:
    """The work of a run.

    Attributes:
        images: in the order of the results.
        inputs: digest of the names of all input images; `images` may be a shard of these.
        prompts: prompts from files, by image.
        config: options of the command; `batch_size` and `max_errors` are resolved here.
        output: a folder, a file, or a URL as str; None writes NDJSON to `stream`.
        formats: of `writers`.
        categories: COCO categories of the results.
        info: model, command and date, for `info` of COCO.
        segmentation: encoding of masks in annotations; see `coco.shown`.
        journal: the journal file, or the URL of its objects, if any.
        identity: everything results depend on; see `configs.run_identity`.
        max_errors: the run stops when more images have failed.
        on_result: callback with the result of each image.
    """

    images: list[SourceImage]
    prompts: PromptsByName
    config: RunConfig
    output: Path | str | None
    formats: frozenset[str]
    batch_size: int
    identity: dict[str, str]
    categories: list[Category] = field(default_factory=list)
    info: Mapping[str, Any] = field(default_factory=dict)
    segmentation: SegmentationKind = "rle"
    inputs: str = ""
    max_errors: int | None = None
    stream: BinaryIO | None = None
    journal: Path | str | None = None
    writers: Mapping[str, MakeWriter] = field(default_factory=lambda: WRITERS)
    on_result: Callable[[ImageResult], None] | None = None

    @property
    def remembered(self) -> dict[str, str]:
        """The identity, including the output if its journal is stored elsewhere, so that it matches no other output."""
        if isinstance(self.journal, Path) and isinstance(self.output, str):
            return {**self.identity, "output": self.output.rstrip("/")}
        return self.identity

    def outputs(self) -> Outputs | None:
        """Create the writers of the formats, None without an output."""
        return None if self.output is None else Outputs(self.output, self.writers, self.formats, self.categories)

    def without_images(self) -> Job:
        """Copy the job without images, for a worker process that receives them one by one."""
        return replace(self, images=[], prompts=PromptTable(), stream=None, on_result=None)


@dataclass(slots=True)
class Summary:
    """Summary of a run.

    Attributes:
        done: number of images done in this run; `already_done` in earlier runs.
        masks: number of masks or boxes; `empty` masks have no pixels.
        failed: error messages of failed images; `failed_before` counts failed images that were not retried.
        lost: number of prompts, or parts of them, that did not fit their images.
        polygons: their IoU with the masks.
        stopped: more failures than `max_errors`.
        left_out: inputs or prompts were skipped, so that the exit code is 3.
    """

    done: int = 0
    already_done: int = 0
    masks: int = 0
    empty: int = 0
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)
    failed_before: int = 0
    lost: int = 0
    polygons: PolygonCost = field(default_factory=PolygonCost)
    interrupted: bool = False
    stopped: bool = False
    left_out: bool = False
    files: list[Path | str] = field(default_factory=list)

    def count(self, record: ImageRecord) -> None:
        """Update the counts with an image record."""
        self.done += record.failure is None
        self.masks += len(record.annotations)
        self.empty += sum("segmentation" in own and not own["area"] for own in record.annotations)
        self.polygons.add(record.annotations)
        if record.failure is not None:
            self.failed.append(str(record.failure))

    @property
    def exit_code(self) -> int:
        """0 all done, 1 stopped by failures, 3 some images failed, 130 interrupted."""
        some_failed = self.failed or self.failed_before or self.left_out
        return 130 if self.interrupted else 1 if self.stopped else 3 if some_failed else 0

    @property
    def outcome(self) -> str:
        """Outcome for the journal; see `journal.Contents`."""
        return "interrupted" if self.interrupted else "stopped" if self.stopped else "finished"


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
        redone: names of images in `done` whose results an earlier command made with `redo`.
        gone: names of images of earlier runs that were deleted.
        others: names of images of earlier runs that exist, or may exist, and are not among the inputs.
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
    redone: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    touched: dict[str, str] = field(default_factory=dict)

    def check_removal(self, *, prune: bool) -> None:
        """Raise an HqsamError if too many images would lose their results; see `ownership.check_removal`."""
        check_removal(self.known, [*self.gone, *self.emptied], prune=prune)


def make_plan(job: Job, outputs: Outputs | None, contents: Contents | None = None) -> Plan:
    """Plan a job; raises the errors of a run before any model is loaded.

    Args:
        contents: of the journal; None to read them.

    Raises:
        UsageError: outputs belong to another run, or were not written by hqsam, or kept results have categories with
            the ids of others.
        HqsamError: the journal is invalid.
    """
    if contents is None and job.journal is not None and outputs is not None and not job.config.overwrite:
        contents = journal_contents(job.journal)
    if contents is None:
        contents = Contents()
    elif contents.end:
        assert job.output is not None
        check_identity(job.output, contents, job.remembered, redo=job.config.redo)
    elif outputs is not None:
        outputs.check_not_foreign()
    entries = contents.entries
    if not entries:
        return Plan(contents.end, left=list(job.images))
    has_results = any(entry.results for entry in entries.values())
    names = {image.file_name for image in job.images}
    others = {name: entry.path for name, entry in entries.items() if name not in names}
    gone = _gone(job.images, others) if others else []
    plan = Plan(contents.end, len(entries), has_results, gone=gone)
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
        elif _is_outdated(entry, contents, job) or (_is_redone(entry, job) and entry.failure is not None):
            plan.left.append(source)
            plan.rewritten += [name] if entry.results else []
        elif entry.failure is not None:
            if job.config.retry_failed:
                plan.left.append(source)
            else:
                plan.failed.append(name)
        elif outputs is None or outputs.is_complete(name, entry.results):
            plan.done.append(name)
            plan.redone += [name] if _is_redone(entry, job) else []
        else:
            plan.left.append(source)
            plan.rewritten.append(name)
    plan.lost = sum(entries[name].lost for name in [*plan.done, *plan.failed])
    kept = [name for name in [*plan.others, *plan.unmentioned] if entries[name].results]
    check_categories(contents.categories, job.categories, kept)
    return plan


def _is_outdated(entry: Entry, contents: Contents, job: Job) -> bool:
    """Whether a job that redoes images has other options than the results of one."""
    return job.config.redo and bool(changes(entry.identity or contents.identity, job.remembered))


def _is_redone(entry: Entry, job: Job) -> bool:
    """Whether an earlier command redid an image, and this job does not."""
    return bool(entry.identity) and not job.config.redo


def _fingerprints(job: Job, entries: Mapping[str, Entry]) -> Iterator[tuple[SourceImage, str | None]]:
    """Yield each image with its current fingerprint, None if pixels or prompts changed.

    The prompts of images that an earlier command redid do not count, so that these keep their results. Remote
    files with a new modification time are read in parallel.
    """

    def known(source: SourceImage) -> str | None:
        entry = entries.get(source.file_name)
        if entry is None:
            return None
        prompts = job.prompts.for_image(source.file_name)
        if prompts.mentioned is False and entry.results:
            return None
        return renewed(entry.fingerprint, source, None if _is_redone(entry, job) else prompts)

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


def in_order(before: Sequence[Category], now: Sequence[Category]) -> list[Category]:
    """Keep the order of the last command's categories, which its labels use, and append new ones."""
    return list({**{own["id"]: own for own in before}, **{own["id"]: own for own in now}}.values())


def _gone(images: Sequence[SourceImage], others: Mapping[str, str]) -> list[str]:
    """Images of earlier runs that were deleted.

    Args:
        others: their paths, by name, of those that are not among the images.
    """
    stored = {image.absolute: image.location.url for image in images if image.location is not None}
    tars = set(map(absolute_path, set(stored.values())))
    # An image in a tar file may have a new name.
    gone = gone_images([path for path in others.values() if path not in stored], tars)
    return [name for name, path in others.items() if path in gone]
