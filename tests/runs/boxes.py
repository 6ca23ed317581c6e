"""A run whose model fills boxes: everything of a run but the weights, and quick to start.

    python -m tests.runs.boxes FOLDER OUTPUT SECONDS

segments the images of FOLDER, taking so long for each group, and leaves with the run's exit code.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from hqsam_cli.images.find import find_images
from hqsam_cli.prompts.table import hashed_id
from hqsam_cli.records import ImagePrompts, Instance, MaskCrop, Prompt
from hqsam_cli.runs.pipeline import Job, segment_images


def instance(prompt: Prompt, pixels: np.ndarray, sam_iou: float = 0.9) -> Instance:
    """The box of a prompt, filled where the image is bright."""
    assert prompt.box is not None
    x0, y0, x1, y1 = map(int, prompt.box)
    height, width = pixels.shape[:2]
    return Instance(prompt, MaskCrop(pixels[y0:y1, x0:x1, 0] > 100, x0, y0, width, height), sam_iou)


@dataclass
class FillsBoxes:
    """The model; `groups` keeps how many images it was asked about at once."""

    seconds: float = 0.0
    groups: list[int] = field(default_factory=list)

    def segment(self, images: list[np.ndarray], prompts: list[list[Prompt]]) -> list[list[Instance]]:
        self.groups.append(len(images))
        time.sleep(self.seconds)
        return [[instance(p, pixels) for p in own] for pixels, own in zip(images, prompts, strict=True)]


@dataclass
class Boxes:
    """The prompts: `each` boxes an image, numbered in the order of the images."""

    names: list[str]
    each: int = 2
    categories: list[dict[str, Any]] = field(default_factory=lambda: [{"id": 1, "name": "object"}])

    def for_image(self, file_name: str) -> ImagePrompts:
        first = self.each * self.names.index(file_name) + 1
        prompts = [Prompt(first + n, 1, (float(n), 1.0, float(n + 9), 8.0)) for n in range(self.each)]
        return ImagePrompts(file_name, hashed_id(file_name), None, prompts)


@dataclass
class Messages:
    """The reporter; keeps what it is told."""

    images: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def on_start(self, images: int, already_done: int) -> None:
        self.started = (images, already_done)

    def on_image(self, record: dict[str, Any]) -> None:
        self.images.append(record)

    def on_problem(self, text: str) -> None:
        self.problems.append(text)


def job(folder: Path, output: Path | None, **changes: Any) -> Job:
    """The job of all images of a folder."""
    images = find_images([str(folder)])
    settings: dict[str, Any] = {
        "images": images,
        "prompts": Boxes([image.file_name for image in images]),
        "output": output,
        "formats": frozenset({"coco", "png", "idmap", "ndjson"}),
        "exif": "apply",
        "max_pixels": 10_000_000,
        "batch_size": 2,
        "workers": 2,
        "multimask": False,
        "flags": {"--mask-output": "sum", "--batch-size": "2"},
    }
    return Job(**(settings | changes))


def photograph(path: Path, value: int = 200, size: tuple[int, int] = (24, 16)) -> None:
    """A photo of one brightness, `size` (width, height)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def contents(folder: Path) -> dict[str, bytes]:
    """All result files of an output folder by name; the journal is a diary, not a result."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "journal.ndjson")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


if __name__ == "__main__":
    run = segment_images(job(Path(sys.argv[1]), Path(sys.argv[2])), FillsBoxes(float(sys.argv[3])), Messages())
    sys.exit(run.exit_code)
