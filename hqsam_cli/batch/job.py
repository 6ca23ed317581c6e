"""What a run is to do, and how it went."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ..configs import SegmentationKind
from ..formats import WRITERS, MakeWriter
from ..formats.outputs import Outputs
from ..formats.polygons import PolygonCost
from ..formats.run_records import ImageResult
from ..io.find import SourceImage
from ..prompts.table import PromptTable
from ..records import Category, ImagePrompts, ImageRecord


class PromptsByName(Protocol):
    """What the pipeline needs of a `PromptTable`."""

    def for_image(self, file_name: str) -> ImagePrompts: ...


@dataclass(frozen=True, slots=True)
class Job:
    """What to do.

    Attributes:
        images: in the order of the results.
        inputs: digest of the names of all images of the inputs, where `images` are a shard of these.
        prompts: of each image, as far as files have them.
        output: the folder, or the path of what is one file, or an address as text; None writes NDJSON to `stream`.
        formats: of `writers`.
        categories: COCO categories of the results.
        info: what made the results, for those who read them.
        segmentation: how annotations say what their masks are; see `annotations.shown`.
        journal: the file of the journal, or the address of its objects, if one is kept.
        identity: everything results depend on; see `configs.run_identity`.
        overwrite_edited: files that somebody edited since a run wrote them are replaced and removed like others.
        prune: any number of images may lose their results at once; see `ownership.check_removal`.
        retry_failed: images that failed are tried again though they are what they were.
        max_errors: the run stops when more images than that have failed in it.
        on_result: is given what is made of each image.
    """

    images: list[SourceImage]
    prompts: PromptsByName
    output: Path | str | None
    formats: frozenset[str]
    exif: str
    max_pixels: int
    batch_size: int
    identity: dict[str, str]
    categories: list[Category] = field(default_factory=list)
    info: Mapping[str, Any] = field(default_factory=dict)
    segmentation: SegmentationKind = "rle"
    inputs: str = ""
    overwrite: bool = False
    overwrite_edited: bool = False
    prune: bool = False
    retry_failed: bool = False
    max_errors: int | None = None
    stream: BinaryIO | None = None
    journal: Path | str | None = None
    writers: Mapping[str, MakeWriter] = field(default_factory=lambda: WRITERS)
    on_result: Callable[[ImageResult], None] | None = None

    @property
    def remembered(self) -> dict[str, str]:
        """The identity, and the output where its journal is kept elsewhere, so that it is of no other one."""
        if isinstance(self.journal, Path) and isinstance(self.output, str):
            return {**self.identity, "output": self.output.rstrip("/")}
        return self.identity

    def outputs(self) -> Outputs | None:
        """The writers of the formats, none where there is no output."""
        return None if self.output is None else Outputs(self.output, self.writers, self.formats, self.categories)

    def without_images(self) -> Job:
        """How images are read and written, for a process that is given them one by one."""
        return replace(self, images=[], prompts=PromptTable(), stream=None, on_result=None)


@dataclass(slots=True)
class Summary:
    """How it went.

    Attributes:
        done: images done now; `already_done` those of earlier runs.
        masks: or boxes, where these are the results.
        failed: one sentence for each image that failed; `failed_before` counts those that were not tried again.
        lost: how many prompts, or parts of them, did not fit their images.
        polygons: what they cost.
        stopped: by more failures than the job allows.
        left_out: inputs or prompts were, for which the run ends with exit code 3.
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
        """Count an image by its record."""
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
        """As the journal has it; see `journal.Contents`."""
        return "interrupted" if self.interrupted else "stopped" if self.stopped else "finished"
