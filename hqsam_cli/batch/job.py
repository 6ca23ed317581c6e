"""A run's job and its summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ..configs import RunConfig, SegmentationKind
from ..formats import WRITERS
from ..formats.image_writer import ImageResult
from ..formats.outputs import MakeWriter, Outputs
from ..formats.polygons import PolygonCost
from ..io.find import SourceImage
from ..prompts.table import PromptTable
from ..records import Category, ImagePrompts, ImageRecord


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
        masks: number of masks or boxes.
        failed: error messages of failed images; `failed_before` counts failed images that were not retried.
        lost: number of prompts, or parts of them, that did not fit their images.
        polygons: their IoU with the masks.
        stopped: more failures than `max_errors`.
        left_out: inputs or prompts were skipped, so that the exit code is 3.
    """

    done: int = 0
    already_done: int = 0
    masks: int = 0
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
